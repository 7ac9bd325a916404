"""What an exported LEO with its feature extractor answers: encoded images in, probabilities out."""

import tensorflow as tf

from leo_tf.export.signatures import Signatures
from leo_tf.features.images.decoding import squares_of

# For the description beside the SavedModel.
DOCUMENTATION = {
    "serving_default": "support_images, support_y, query_images -> probabilities, predicted_label, classifier",
    "adapt": "support_images, support_y -> classifier",
    "predict": "classifier, query_images -> probabilities, predicted_label",
    "embed": "images -> embeddings",
    "support_images": "string [examples]: files of JPEG or PNG, upright, 8-bit, of no CMYK and no transparency",
    "support_y": "int32 [examples]: their labels, 0..ways-1; every class at least once, as often as you have examples",
    "query_images": "string [queries]: files to classify",
    "classifier": "float32 [ways, dim]: the adapted linear classifier",
    "probabilities": "float32 [queries, ways]",
    "predicted_label": "int32 [queries]: the most probable label, the lowest of equals",
    "embeddings": "float32 [images, dim], as the extractor gives them",
}
FITTED_DOCUMENTATION = {
    "serving_default": "images -> probabilities, label, classes",
    "images": "string [n]: files of JPEG or PNG, upright, 8-bit, of no CMYK and no transparency",
    "probabilities": "float32 [n, ways]",
    "label": "string [n]: the most probable class",
    "classes": "string [n, ways]: the names of the classes, in the order of the probabilities, for every image",
}


class ImageSignatures:
    """The functions of a LEO on encoded images, and what they take; a request brings one task.

    Args:
      model: LEO.
      extractor: Extractor.
      normalize, max_examples, temperature: as for Signatures.
    """

    def __init__(self, model, extractor, normalize, max_examples=0, temperature=1.0):
        self._of_embeddings = Signatures(model, normalize, max_examples, temperature)
        self._extractor = extractor
        support_images = tf.TensorSpec([None], tf.string, "support_images")
        support_y = tf.TensorSpec([None], tf.int32, "support_y")
        query_images = tf.TensorSpec([None], tf.string, "query_images")
        classifier = tf.TensorSpec([None, model.feature_dim], tf.float32, "classifier")
        self.functions = {
            "serving_default": (self.serve, [support_images, support_y, query_images]),
            "adapt": (self.adapt, [support_images, support_y]),
            "predict": (self.predict, [classifier, query_images]),
            "embed": (self.embed, [tf.TensorSpec([None], tf.string, "images")]),
        }

    def serve(self, support_images, support_y, query_images):
        """Adapt and predict in one; shapes as in DOCUMENTATION."""
        classifier = self.adapt(support_images, support_y)["classifier"]
        return {**self.predict(classifier, query_images), "classifier": classifier}

    def adapt(self, support_images, support_y):
        """Return {"classifier"} for a support set."""
        support_x = self.embed(support_images)["embeddings"]
        return _only(self._of_embeddings.adapt(support_x[tf.newaxis], support_y[tf.newaxis]))

    def predict(self, classifier, query_images):
        """Return {"probabilities", "predicted_label"} of queries under a classifier that `adapt` returned."""
        query_x = self.embed(query_images)["embeddings"]
        return _only(self._of_embeddings.predict(classifier[tf.newaxis], query_x[tf.newaxis]))

    def embed(self, images):
        """Return {"embeddings"} of encoded images."""
        return {"embeddings": self._extractor.embed(squares_of(images, self._extractor.preprocessing))}


class FittedSignatures:
    """The function of a classifier that is fitted to its classes already: nothing adapts.

    Args:
      extractor: Extractor.
      fitted: Fitted.
      classes: names of the classes, in the order of its rows.
    """

    def __init__(self, extractor, fitted, classes):
        self._extractor, self._fitted = extractor, fitted
        self._classes = [str(name) for name in classes]
        self.functions = {"serving_default": (self.serve, [tf.TensorSpec([None], tf.string, "images")])}

    def serve(self, images):
        """Return probabilities and names; shapes as in FITTED_DOCUMENTATION."""
        probabilities = self.of_squares(squares_of(images, self._extractor.preprocessing))
        names = tf.constant(self._classes)
        best = tf.argmax(probabilities, axis=-1)
        return {
            "probabilities": probabilities,
            "label": tf.gather(names, best),
            "classes": tf.repeat(names[tf.newaxis], tf.shape(images)[0], axis=0),
        }

    def of_squares(self, squares):
        """Return probabilities [n, ways] of squares uint8 [n, resize_size, resize_size, channels]."""
        embeddings = self._extractor.embed(squares)
        if self._fitted.normalize:
            embeddings = _unit_length(embeddings)
        if self._fitted.transform is not None:
            mean, matrix = (tf.constant(part, tf.float32) for part in self._fitted.transform)
            embeddings = _unit_length((_unit_length(embeddings) - mean) @ matrix)
        weights, bias = (tf.constant(part, tf.float32) for part in self._fitted.weights_and_bias(embeddings.shape[-1]))
        scores = tf.matmul(embeddings, weights, transpose_b=True) + bias
        return tf.nn.softmax(scores / self._fitted.temperature)


def _unit_length(rows):
    """As `Fitted` scales rows, in float32: LiteRT has no products of float64."""
    return tf.math.l2_normalize(rows, axis=-1)


def _only(tensors):
    """Return the tensors of the only task."""
    return {name: tensor[0] for name, tensor in tensors.items()}
