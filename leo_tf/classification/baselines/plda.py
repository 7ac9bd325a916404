"""Baselines of PLDA: nearest class means in its axes; its predictive classifier, alone and fitted to the support."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from leo_tf.classification.baselines.feature_spaces import FeatureSpace
from leo_tf.classification.baselines.nearest_mean import class_means
from leo_tf.classification.baselines.registry import FITTED, NEAREST_MEANS, Baseline
from leo_tf.classification.grid import Cell
from leo_tf.classification.metrics import LinearClassifier
from leo_tf.classification.plda_classifier import plda_classifier
from leo_tf.classification.proto_leo_init import FIT_SCALES, InitializationData, choose
from leo_tf.classification.softmax_fit import corrected
from leo_tf.classification.tasks import Tasks
from leo_tf.config import ProtoLEOConfig
from leo_tf.data import EmbeddingTable
from leo_tf.transforms import Plda, gain, plda_transform

_PENALTY = ProtoLEOConfig().fit_penalty


def plda_baselines(
    table: EmbeddingTable, validation: EmbeddingTable, tasks: Tasks
) -> Iterator[tuple[Baseline, FeatureSpace]]:
    """Yield the (Baseline, FeatureSpace) pairs of PLDA fitted to the base classes; arguments as for `plda_space`."""
    plda, space = plda_space(table, validation, tasks)
    yield from ((nearest, space) for nearest in NEAREST_MEANS.values())
    yield FITTED["logistic_regression"], space
    yield from ((each, space) for each in _predictive(plda, round(tasks.mean_shots)))


def plda_space(table: EmbeddingTable, validation: EmbeddingTable, tasks: Tasks) -> tuple[Plda, FeatureSpace]:
    """Return PLDA fitted to the base classes, and its FeatureSpace.

    Its shrinkages are chosen on as many validation tasks as these Tasks of the validation classes are, of their ways
    and their mean number of shots.
    """
    shots = round(tasks.mean_shots)
    data = InitializationData(table, validation, tasks.ways, "all").without_duplicates(shots)
    cell = Cell(tasks.ways, shots, len(tasks))
    plda, *_ = choose(ProtoLEOConfig(fit_penalty=0.0), data, [cell])
    return plda, FeatureSpace("PLDA", plda_transform(plda, shots))


def _predictive(plda: Plda, shots: int) -> Iterator[Baseline]:
    """Yield PLDA's classifier, and the same fitted to the support, of features in the space of `plda_transform`."""
    variances = plda.variances.astype(np.float32)
    metric = gain(variances, shots)

    def initial(support_x: tf.Tensor, support_y: tf.Tensor) -> tf.Tensor:
        return plda_classifier(*class_means(support_x, support_y), variances, metric, 1.0)

    def fitted(support_x: tf.Tensor, support_y: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        tasks, ways, shots, dim = support_x.shape
        examples = tf.reshape(support_x, [tasks, ways * shots, dim])
        targets = tf.one_hot(tf.reshape(support_y, [tasks, -1]), ways, dtype=examples.dtype)
        classifier = tf.cast(scale, examples.dtype) * initial(support_x, support_y)
        _, counts = class_means(support_x, support_y)
        weights = tf.reduce_mean(counts, axis=1, keepdims=True) / counts  # each class weighs the same
        weights = tf.where(support_y < 0, 0.0, weights[..., tf.newaxis])
        return corrected(classifier, examples, targets, tf.reshape(weights, [tasks, -1]), _PENALTY)

    def split(classifier: tf.Tensor) -> LinearClassifier:
        return LinearClassifier(classifier[..., :-1], classifier[..., -1])

    yield Baseline("predictive classifier", lambda x, y, _: split(initial(x, y)))
    yield Baseline(
        "predictive classifier + logistic regression",
        lambda x, y, scale: split(fitted(x, y, scale)),
        "scale",
        FIT_SCALES,
    )
