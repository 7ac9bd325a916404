"""Signatures of an exported model: functions of raw embeddings, dynamic in tasks, ways, examples and queries."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from leo_tf.classification.grid import interpolate_by_shots
from leo_tf.classification.unknown import calibrated_log_ratios, shown_log_odds
from leo_tf.export.validation import checked_classifier, checked_query, checked_support
from leo_tf.runs.calibration import RunCalibration

DOCUMENTATION = {
    "serving_default": "support_x, support_y, query_x -> probabilities, predicted_label, classifier",
    "adapt": "support_x, support_y -> classifier",
    "predict": "classifier, query_x -> probabilities, predicted_label",
    "support_x": "float32 [tasks, examples, dim]: embeddings of the labelled examples, in any order",
    "support_y": "int32 [tasks, examples]: their labels, 0..ways-1; every class at least once in every task, any "
    "number per class",
    "query_x": "float32 [tasks, queries, dim]: embeddings to classify",
    "classifier": "float32 [tasks, ways, classifier_dim]: the adapted classifier",
    "probabilities": "float32 [tasks, queries, ways]",
    "predicted_label": "int32 [tasks, queries]: the most probable label; of equally probable ones the lowest",
}


def documentation(of_known: Mapping[str, str], unknown_shape: str) -> dict[str, str]:
    """Return the documentation of functions and tensors, with that of `unknown` if it has a shape."""
    if not unknown_shape:
        return dict(of_known)
    unknown = (
        f"float32 {unknown_shape}: probability that a query belongs to none of the classes; not in `probabilities`"
    )
    several = {name: text.replace("predicted_label", "predicted_label, unknown") for name, text in of_known.items()}
    return several | {"unknown": unknown}


def unit_length(embeddings: tf.Tensor) -> tf.Tensor:
    """Scale embeddings [..., dim] to unit Euclidean length; rows of zeros stay zero."""
    wide = tf.cast(embeddings, tf.float64)  # the square of a float32 can exceed its range
    return tf.cast(tf.math.divide_no_nan(wide, tf.norm(wide, axis=-1, keepdims=True)), embeddings.dtype)


class Signatures:
    """Functions of an exportable learner on raw embeddings, with the specifications of their inputs.

    With `normalize`, embeddings are scaled to unit length first; `max_examples` is as for `export`. With a calibration,
    `adapt` divides classifiers by the temperature for the mean number of examples per class. Where it has an unknown
    class, the columns of a classifier are followed by those of `calibrated_log_ratios`.
    """

    def __init__(
        self, model: Any, normalize: bool, max_examples: int = 0, calibration: RunCalibration | None = None
    ) -> None:
        self._model, self._normalize, self._max_examples = model, normalize, max_examples
        self._calibration = calibration
        self.has_unknown = calibration is not None and calibration.has_unknown
        self.classifier_dim = model.feature_dim + (2 * model.feature_dim - 1) * self.has_unknown
        dim = model.embedding_dim
        support_x = tf.TensorSpec([None, None, dim], tf.float32, "support_x")
        support_y = tf.TensorSpec([None, None], tf.int32, "support_y")
        query_x = tf.TensorSpec([None, None, dim], tf.float32, "query_x")
        classifier = tf.TensorSpec([None, None, self.classifier_dim], tf.float32, "classifier")
        self.functions: dict[str, tuple[Callable, list[tf.TensorSpec]]] = {
            "serving_default": (self.serve, [support_x, support_y, query_x]),
            "adapt": (self.adapt, [support_x, support_y]),
            "predict": (self.predict, [classifier, query_x]),
        }

    def serve(self, support_x: tf.Tensor, support_y: tf.Tensor, query_x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Adapt and predict; tensors as in DOCUMENTATION."""
        query_x = checked_query(query_x, tf.shape(support_x)[0], "support_x", self._model.embedding_dim)
        classifier = self.adapt(support_x, support_y)["classifier"]
        return {**self._probabilities(classifier, query_x), "classifier": classifier}

    def adapt(self, support_x: tf.Tensor, support_y: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return {"classifier"} of support sets."""
        dim = self._model.embedding_dim
        support_x, support_y, ways = checked_support(support_x, support_y, dim, self._max_examples)
        support_x = tf.cast(self._normalized(support_x), self._model.compute_dtype)
        features = self._model.features(support_x)
        classifier = self._model.adapt_imbalanced_features(features, support_y, ways)
        if self._calibration is not None:
            classifier = self._calibrated(classifier, features, support_y, ways, self._calibration)
        return {"classifier": tf.cast(classifier, tf.float32)}

    def _calibrated(
        self, classifier: tf.Tensor, features: tf.Tensor, support_y: tf.Tensor, ways: tf.Tensor, by: RunCalibration
    ) -> tf.Tensor:
        mean_count = tf.cast(tf.shape(support_y)[1] / ways, classifier.dtype)

        def temperature(of_shots: Sequence[float]) -> tf.Tensor:
            return tf.exp(interpolate_by_shots(mean_count, by.shots, [math.log(each) for each in of_shots]))

        classifier /= temperature(by.temperatures)
        if not by.has_unknown:
            return classifier
        log_ratios = self._model.log_ratios(features, support_y, ways)
        threshold = interpolate_by_shots(mean_count, by.shots, by.unknown_thresholds)
        log_ratios = calibrated_log_ratios(log_ratios, temperature(by.unknown_temperatures), threshold)
        return tf.concat([classifier, log_ratios], axis=-1)

    def predict(self, classifier: tf.Tensor, query_x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return {"probabilities", "predicted_label"} of queries, with classifiers from `adapt`."""
        query_x = checked_query(query_x, tf.shape(classifier)[0], "classifier", self._model.embedding_dim)
        return self._probabilities(checked_classifier(classifier, self.classifier_dim), query_x)

    def _probabilities(self, classifier: tf.Tensor, query_x: tf.Tensor) -> dict[str, tf.Tensor]:
        features = self._model.features(tf.cast(self._normalized(query_x), classifier.dtype))
        classifier, log_ratios = tf.split(classifier, [self._model.feature_dim, -1], axis=-1)
        logits = self._model.logits(features, classifier)
        answer = {
            "probabilities": tf.nn.softmax(logits),
            "predicted_label": tf.argmax(logits, axis=-1, output_type=tf.int32),
        }
        return answer | {"unknown": tf.sigmoid(-shown_log_odds(features, log_ratios))} if self.has_unknown else answer

    @property
    def documentation(self) -> dict[str, str]:
        """Description of the functions and their tensors."""
        return documentation(DOCUMENTATION, "[tasks, queries]" if self.has_unknown else "")

    def _normalized(self, embeddings: tf.Tensor) -> tf.Tensor:
        return unit_length(embeddings) if self._normalize else embeddings
