"""What an exported LEO answers: named functions of raw embeddings, dynamic in tasks, ways, examples and queries."""

import tensorflow as tf

from leo_tf.classification.leo import LEO
from leo_tf.data.episodes import Episode
from leo_tf.errors import InputError
from leo_tf.export.validation import checked_classifier, checked_query, checked_support

# For the description beside the SavedModel.
DOCUMENTATION = {
    "serving_default": "support_x, support_y, query_x -> probabilities, predicted_label, classifier",
    "adapt": "support_x, support_y -> classifier",
    "predict": "classifier, query_x -> probabilities, predicted_label",
    "support_x": "float32 [tasks, examples, dim]: embeddings of the labelled examples, in any order",
    "support_y": "int32 [tasks, examples]: their labels, 0..ways-1; every class at least once in every task, as often "
    "as you have examples",
    "query_x": "float32 [tasks, queries, dim]: embeddings to classify",
    "classifier": "float32 [tasks, ways, dim]: the adapted linear classifier; dim + 1 columns with a prototype_bias",
    "probabilities": "float32 [tasks, queries, ways]",
    "predicted_label": "int32 [tasks, queries]: the most probable label, the lowest of equals",
}


def unit_length(embeddings):
    """Scale embeddings [..., dim] to unit Euclidean length; rows of zeros stay zero."""
    wide = tf.cast(embeddings, tf.float64)  # the square of a float32 can leave the range of float32
    return tf.cast(tf.math.divide_no_nan(wide, tf.norm(wide, axis=-1, keepdims=True)), embeddings.dtype)


def require_leo(model):
    """Raise InputError for regression, and for a baseline: its weights fit one number of ways of equal classes."""
    if model.episode_type is not Episode:
        raise InputError(f"Got a {model.algorithm} for regression; expected LEO for classification.")
    if not isinstance(model, LEO):
        raise InputError(f"Got a model of {model.algorithm}; expected LEO: the baselines are there to compare with.")


class Signatures:
    """The functions of a LEO on raw embeddings, and what they take.

    Args:
      model: LEO.
      normalize: whether embeddings are scaled to unit length first, as those of training were.
      max_examples: most support examples of a request, of all tasks together; 0 for no limit.
      temperature: what logits are divided by for the probabilities; 1 for LEO's own.
    """

    def __init__(self, model, normalize, max_examples=0, temperature=1.0):
        self._model, self._normalize, self._max_examples = model, normalize, max_examples
        self._temperature = temperature
        dim = model.embedding_dim
        support_x = tf.TensorSpec([None, None, dim], tf.float32, "support_x")
        support_y = tf.TensorSpec([None, None], tf.int32, "support_y")
        query_x = tf.TensorSpec([None, None, dim], tf.float32, "query_x")
        classifier = tf.TensorSpec([None, None, model.feature_dim], tf.float32, "classifier")
        self.functions = {
            "serving_default": (self.serve, [support_x, support_y, query_x]),
            "adapt": (self.adapt, [support_x, support_y]),
            "predict": (self.predict, [classifier, query_x]),
        }

    def serve(self, support_x, support_y, query_x):
        """Adapt and predict in one; shapes as in DOCUMENTATION."""
        query_x = checked_query(query_x, tf.shape(support_x)[0], "support_x", self._model.embedding_dim)
        classifier = self.adapt(support_x, support_y)["classifier"]
        return {**self._probabilities(classifier, query_x), "classifier": classifier}

    def adapt(self, support_x, support_y):
        """Return {"classifier"} for support sets."""
        dim = self._model.embedding_dim
        support_x, support_y, ways = checked_support(support_x, support_y, dim, self._max_examples)
        features = tf.cast(self._features(support_x), self._model.compute_dtype)
        classifier = self._model.adapt_imbalanced(features, support_y, ways)
        return {"classifier": tf.cast(classifier, tf.float32)}

    def predict(self, classifier, query_x):
        """Return {"probabilities", "predicted_label"} of queries under classifiers that `adapt` returned."""
        query_x = checked_query(query_x, tf.shape(classifier)[0], "classifier", self._model.embedding_dim)
        return self._probabilities(checked_classifier(classifier, self._model.feature_dim), query_x)

    def _probabilities(self, classifier, query_x):
        logits = self._model.classify(self._features(query_x), classifier)
        return {
            "probabilities": tf.nn.softmax(logits / self._temperature),
            "predicted_label": tf.argmax(logits, axis=-1, output_type=tf.int32),
        }

    def _features(self, embeddings):
        return self._model.transform(unit_length(embeddings) if self._normalize else embeddings)
