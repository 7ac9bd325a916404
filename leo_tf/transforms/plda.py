"""Probabilistic linear discriminant analysis: a model of classes that serves any number of examples.

The model of two covariances (Ioffe, 2006): class means are spread as N(0, diag(v)) about the origin, and examples as
N(0, I) about their class mean, in the axes of `fit_plda`. The posterior of a class mean, given K examples of mean m, is

    N(K v / (1 + K v) m, diag(v / (1 + K v))),   so that a new example is   N(K v / (1 + K v) m, diag(s)),
    s = (1 + (K + 1) v) / (1 + K v).
"""

from typing import Any, NamedTuple

import numpy as np

from leo_tf.transforms.scatter import PrincipalScatter

_SMALLEST_VARIANCE = 1e-6  # where the training classes show no difference at all


class Plda(NamedTuple):
    """The model in NumPy: x - mean, multiplied by `axes`, has within-class covariance I and between-class diag(v)."""

    mean: np.ndarray  # [dim], of embeddings of unit length
    axes: np.ndarray  # [dim, dim], in columns
    variances: np.ndarray  # v, [dim]

    def shrunk(self, share: float) -> "Plda":
        """Add this share of the mean between-class variance to every axis.

        New classes may differ in directions in which the few training classes happen not to.
        """
        variances = self.variances + share * self.variances.mean()
        return self._replace(variances=np.maximum(variances, _SMALLEST_VARIANCE))


def fit_plda(scatter: PrincipalScatter, within_class_shrinkage: float) -> Plda:
    """Fit PLDA to the scatter of the training classes, with between-class variances as measured; see `Plda.shrunk`.

    The shrinkage is the share of the mean within-class variance that is added to every direction's variance. It keeps
    directions of little or no variance from being blown up, also with fewer rows than dimensions.
    """
    deviations = scatter.deviations(within_class_shrinkage)
    means = (scatter.class_means - scatter.mean) @ scatter.directions / deviations
    _, lengths, rotation = np.linalg.svd(means, full_matrices=True)
    measured = np.zeros(len(rotation))
    measured[: len(lengths)] = lengths**2 / max(1, len(means) - 1)
    within = rotation**2 @ (scatter.variances / deviations**2)  # what the shrinkage leaves of 1, by axis
    variances = np.maximum(measured - within * np.mean(1.0 / scatter.class_sizes), 0.0)
    return Plda(scatter.mean, (scatter.directions / deviations) @ rotation.T, variances)


def gain(variances: Any, shots: float) -> Any:
    """Return sqrt(K v / (1 + (K + 1) v)): in axes scaled by it, a logit is the product of example and class mean.

    That is the log-density under the model up to terms that all classes share, and up to the class's bias.
    """
    return np.sqrt(shots * variances / (1.0 + (shots + 1.0) * variances))
