"""The baselines by name: how each is fitted, and the hyperparameters that it is tried with."""

import dataclasses
from collections.abc import Callable, Iterable

from leo_tf.classification.baselines.lda import lda, shared_covariance
from leo_tf.classification.baselines.logistic import logistic_regression
from leo_tf.classification.baselines.nearest_mean import nearest_class_mean, nearest_class_mean_by_cosine
from leo_tf.classification.baselines.ridge import ridge
from leo_tf.data import EmbeddingTable
from leo_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A way to make a linear classifier from a support set, without meta-learning."""

    title: str  # its name for readers
    fit: Callable  # (support_x, support_y, value of the hyperparameter or None) -> LinearClassifier
    hyperparameter: str = ""  # name of the one that is chosen on validation tasks, such as "C", if there is one
    candidates: tuple[float, ...] = ()  # its values, from the strongest penalty to the weakest


NEAREST_MEANS = {
    "nearest_class_mean": Baseline("nearest class mean", lambda x, y, _: nearest_class_mean(x, y)),
    "nearest_class_mean_by_cosine": Baseline(
        "nearest class mean, cosine", lambda x, y, _: nearest_class_mean_by_cosine(x, y)
    ),
}
FITTED = {
    "logistic_regression": Baseline(
        "logistic regression", logistic_regression, "C", tuple(10.0**n for n in range(-2, 7))
    ),
    "ridge": Baseline("ridge", ridge, "penalty", tuple(10.0**n for n in range(3, -5, -1))),
}
ON_REQUEST = (*FITTED, "lda", "plda")
_SHRINKAGES = (100.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)


def lda_of(table: EmbeddingTable) -> Baseline:
    """Return the Baseline of LDA with the covariance within the classes of a table, the meta-training classes."""
    covariance = shared_covariance(table)
    return Baseline("LDA", lambda x, y, shrinkage: lda(x, y, covariance, shrinkage), "shrinkage", _SHRINKAGES)


def requested(names: Iterable[str]) -> tuple[str, ...]:
    """Return, in the order of ON_REQUEST, the names of a request for "all" or for some of ON_REQUEST."""
    unknown = [name for name in names if name not in ("all", *ON_REQUEST)]
    if unknown:
        raise InputError(
            f"Got baselines={','.join(unknown)}; expected all, or some of {', '.join(ON_REQUEST)}.", "baselines"
        )
    return tuple(name for name in ON_REQUEST if "all" in names or name in names)
