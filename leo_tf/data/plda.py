"""Probabilistic linear discriminant analysis: how much a direction tells about classes that were never seen.

The model of two covariances (Ioffe, 2006): after whitening within classes, class means are spread as N(0, B), examples
about their class mean as N(0, I). In the principal axes of B, where class means have variance b, the posterior of a
class mean from K examples and the density of a new example under it give the log-likelihood, up to what all classes
share, as a product of example and mean with the weight K b / (1 + (K + 1) b) for each axis.
"""

from typing import NamedTuple

import numpy as np


class Spread(NamedTuple):
    """How whitened class means are spread; every direction that is left out has variance 0."""

    variances: np.ndarray  # [classes or fewer]
    directions: np.ndarray  # [dim, as many], in columns, orthonormal

    @property
    def mean_variance(self):
        """The mean variance of a direction, over all of them."""
        return self.variances.sum() / len(self.directions)


def spread_of(class_means, class_sizes):
    """Return the Spread of the true means behind measured ones.

    Args:
      class_means: [classes, dim], whitened within classes.
      class_sizes: [classes], of the examples that they are means of.
    """
    centred = class_means - class_means.mean(axis=0)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    measured = lengths**2 / max(1, len(class_means) - 1)
    return Spread(np.maximum(measured - np.mean(1.0 / class_sizes), 0.0), directions.T)


def scaling(spread, between, shots):
    """Return the matrix [dim, dim], symmetric, whose square has the weights of all axes.

    Args:
      spread: Spread.
      between: share of the mean variance that is added to every direction's: to those in which few training classes
        differ by chance, others may differ.
      shots: K.
    """
    added = between * spread.mean_variance

    def root(variances):
        return np.sqrt(shots * variances / (1.0 + (shots + 1.0) * variances))

    others = root(np.float64(added))
    seen = spread.directions * (root(spread.variances + added) - others)
    return others * np.eye(len(spread.directions)) + seen @ spread.directions.T
