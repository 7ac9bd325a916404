"""The baselines by name: how each is fitted, and the strengths that it is tried with."""

import dataclasses
import functools
from collections.abc import Callable

from leo_tf.classification.baselines.lda import lda, shared_covariance
from leo_tf.classification.baselines.logistic import logistic_regression
from leo_tf.classification.baselines.nearest_mean import nearest_class_mean, nearest_class_mean_by_cosine
from leo_tf.classification.baselines.ridge import ridge
from leo_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A way to make a linear classifier of a support set, without meta-learning.

    Attributes:
      title: its name for readers.
      fit: function (support_x, support_y, strength) -> LinearClassifier; the strength is None where none is chosen.
      strength: the name of what is chosen on validation tasks, "C"; empty where nothing is.
      strengths: to choose from, from the strongest penalty to the weakest.
    """

    title: str
    fit: Callable
    strength: str = ""
    strengths: tuple[float, ...] = ()


def _powers(first, last):
    step = 1 if last >= first else -1
    return tuple(10.0**power for power in range(first, last + step, step))


NEAREST_MEANS = {
    "nearest_class_mean": Baseline("nearest class mean", lambda x, y, _: nearest_class_mean(x)),
    "nearest_class_mean_by_cosine": Baseline(
        "nearest class mean, cosine", lambda x, y, _: nearest_class_mean_by_cosine(x)
    ),
}
FITTED = {
    "logistic_regression": Baseline("logistic regression", logistic_regression, "C", _powers(-2, 6)),
    "ridge": Baseline("ridge", ridge, "penalty", _powers(3, -4)),
}
ON_REQUEST = (*FITTED, "lda", "plda")


def lda_of(table):
    """Return the Baseline of LDA with the covariance within the classes of an EmbeddingTable, the training classes."""
    covariance = shared_covariance(table)
    fit = functools.partial(_lda, covariance)
    return Baseline("LDA", fit, "shrinkage", (100.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001))


def _lda(covariance, support_x, support_y, shrinkage):
    return lda(support_x, covariance, shrinkage)


def requested(names):
    """Return the names that a request for "all" or for some of ON_REQUEST means, in that order.

    Raises:
      InputError: an unknown name.
    """
    unknown = [name for name in names if name not in ("all", *ON_REQUEST)]
    if unknown:
        raise InputError(f"Got baselines={','.join(unknown)}; expected all, or some of {', '.join(ON_REQUEST)}.")
    return tuple(name for name in ON_REQUEST if "all" in names or name in names)
