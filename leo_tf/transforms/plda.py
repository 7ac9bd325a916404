"""Probabilistic linear discriminant analysis: weights of directions by how well they separate unseen classes.

The model of two covariances (Ioffe, 2006): after whitening within classes, class means are spread as N(0, B), examples
about their class mean as N(0, I). In the principal axes of B, where class means have variance b, the posterior of a
class mean from K examples and the density of a new example under it give the log-likelihood, up to what all classes
share, as a product of example and mean with the weight K b / (1 + (K + 1) b) for each axis.
"""

from typing import Any, NamedTuple

import numpy as np


class Spread(NamedTuple):
    """Between-class variances of whitened class means; directions that are left out have variance 0."""

    variances: np.ndarray  # [n], n at most the number of classes
    directions: np.ndarray  # [dim, n], in columns, orthonormal

    @property
    def mean_variance(self) -> float:
        """The mean variance over all directions."""
        return self.variances.sum() / len(self.directions)


def spread_of(class_means: np.ndarray, class_sizes: np.ndarray) -> Spread:
    """Estimate the Spread of the true class means from those of samples, [classes, dim], whitened within classes."""
    centred = class_means - class_means.mean(axis=0)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    measured = lengths**2 / max(1, len(class_means) - 1)
    return Spread(np.maximum(measured - np.mean(1.0 / class_sizes), 0.0), directions.T)


def scaling(spread: Spread, between_class_shrinkage: float, shots: int) -> np.ndarray:
    """Return the symmetric matrix [dim, dim] whose square holds the weights of all axes, for K = `shots`.

    The shrinkage is the share of the mean variance that is added to every direction's: new classes may differ in
    directions in which the few training classes happen not to.
    """
    added = between_class_shrinkage * spread.mean_variance

    def root(variances: Any) -> Any:
        return np.sqrt(shots * variances / (1.0 + (shots + 1.0) * variances))

    others = root(np.float64(added))
    seen = spread.directions * (root(spread.variances + added) - others)
    return others * np.eye(len(spread.directions)) + seen @ spread.directions.T
