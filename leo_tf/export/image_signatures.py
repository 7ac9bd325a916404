"""Signatures of an exported model with its feature extractor: encoded images in, probabilities out."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from leo_tf.classification.unknown import shown_log_odds
from leo_tf.export.fitted_classifier import FittedClassifier
from leo_tf.export.signatures import Signatures, documentation
from leo_tf.features.images.decoding import squares_of
from leo_tf.transforms.layer import FixedTransform

_IMAGES = "encoded JPEG or PNG, upright, 8-bit, without CMYK and transparency"
DOCUMENTATION = {
    "serving_default": "support_images, support_y, query_images -> probabilities, predicted_label, classifier",
    "adapt": "support_images, support_y -> classifier",
    "predict": "classifier, query_images -> probabilities, predicted_label",
    "embed": "images -> embeddings",
    "support_images": f"string [examples]: {_IMAGES}",
    "support_y": "int32 [examples]: their labels, 0..ways-1 of two classes or more; every class at least once, any "
    "number per class",
    "query_images": "string [queries]: images to classify",
    "classifier": "float32 [ways, classifier_dim]: the adapted classifier",
    "probabilities": "float32 [queries, ways]",
    "predicted_label": "int32 [queries]: the most probable label; of equally probable ones the lowest",
    "embeddings": "float32 [images, dim], as the extractor returns them",
}
FITTED_DOCUMENTATION = {
    "serving_default": "images -> probabilities, label, classes",
    "images": f"string [n]: {_IMAGES}",
    "probabilities": "float32 [n, ways]",
    "label": "string [n]: the most probable class",
    "classes": "string [n, ways]: the names of the classes, in the order of the probabilities, for every image",
}


class ImageSignatures:
    """`Signatures` of encoded images; a request has one task, its tensors are as in DOCUMENTATION."""

    def __init__(self, model: Any, extractor: Any, normalize: bool, max_examples: int, calibration: Any) -> None:
        self._of_embeddings = Signatures(model, normalize, max_examples, calibration)
        self._extractor = extractor
        support_images = tf.TensorSpec([None], tf.string, "support_images")
        support_y = tf.TensorSpec([None], tf.int32, "support_y")
        query_images = tf.TensorSpec([None], tf.string, "query_images")
        self.classifier_dim = self._of_embeddings.classifier_dim
        self.documentation = documentation(DOCUMENTATION, "[queries]" if self._of_embeddings.has_unknown else "")
        classifier = tf.TensorSpec([None, self.classifier_dim], tf.float32, "classifier")
        self.functions: dict[str, tuple[Callable, list[tf.TensorSpec]]] = {
            "serving_default": (self.serve, [support_images, support_y, query_images]),
            "adapt": (self.adapt, [support_images, support_y]),
            "predict": (self.predict, [classifier, query_images]),
            "embed": (self.embed, [tf.TensorSpec([None], tf.string, "images")]),
        }

    def serve(self, support_images: tf.Tensor, support_y: tf.Tensor, query_images: tf.Tensor) -> dict[str, tf.Tensor]:
        classifier = self.adapt(support_images, support_y)["classifier"]
        return {**self.predict(classifier, query_images), "classifier": classifier}

    def adapt(self, support_images: tf.Tensor, support_y: tf.Tensor) -> dict[str, tf.Tensor]:
        support_x = self.embed(support_images)["embeddings"]
        return _first_task(self._of_embeddings.adapt(support_x[tf.newaxis], support_y[tf.newaxis]))

    def predict(self, classifier: tf.Tensor, query_images: tf.Tensor) -> dict[str, tf.Tensor]:
        query_x = self.embed(query_images)["embeddings"]
        return _first_task(self._of_embeddings.predict(classifier[tf.newaxis], query_x[tf.newaxis]))

    def embed(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embeddings": self._extractor.embed(squares_of(images, self._extractor.preprocessing))}


class FittedSignatures:
    """Function of a classifier that is already fitted to its classes; `layers` have the variables that it uses."""

    def __init__(self, extractor: Any, fitted: FittedClassifier, classes: Sequence[object]) -> None:
        self._extractor, self._fitted = extractor, fitted
        self._classes = [str(name) for name in classes]
        self._transform: FixedTransform | None = None
        if fitted.transform is not None:
            self._transform = FixedTransform(fitted.transform, dtype="float32")
        self.layers = [extractor.model, *([self._transform] if self._transform else [])]
        self.functions = {"serving_default": (self.serve, [tf.TensorSpec([None], tf.string, "images")])}

    def serve(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classify encoded images; tensors as in FITTED_DOCUMENTATION."""
        probabilities = self.of_squares(squares_of(images, self._extractor.preprocessing))
        names = tf.constant(self._classes)
        best = tf.argmax(probabilities, axis=-1)
        return {
            "probabilities": probabilities,
            "label": tf.gather(names, best),
            "classes": tf.repeat(names[tf.newaxis], tf.shape(images)[0], axis=0),
        }

    def of_squares(self, squares: tf.Tensor) -> tf.Tensor:
        """Return probabilities [n, ways] of squares uint8 [n, resize_size, resize_size, channels]."""
        features = self._extractor.embed(squares)
        if self._fitted.normalize:
            features = tf.math.l2_normalize(features, axis=-1)  # in float32: LiteRT has no products of float64
        if self._transform is not None:
            features = self._transform(features)
        weights = tf.constant(self._fitted.weights, tf.float32)
        dim = features.shape[-1]
        scores = tf.matmul(features, weights[:, :dim], transpose_b=True)
        if weights.shape[1] > dim:
            scores += weights[:, dim]
        if self._fitted.log_ratios is not None:
            log_ratios = tf.constant(self._fitted.log_ratios, tf.float32)
            with_one = tf.pad(features, [[0, 0], [0, 1]], constant_values=1.0)
            log_odds = shown_log_odds(with_one[tf.newaxis], log_ratios[tf.newaxis])[0]
            unknown = tf.reduce_logsumexp(scores, axis=-1) - log_odds
            scores = tf.concat([scores, unknown[:, tf.newaxis]], axis=-1)
        return tf.nn.softmax(scores)


def _first_task(tensors: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {name: tensor[0] for name, tensor in tensors.items()}
