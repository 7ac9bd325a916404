"""Means and scatter of classes."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from leo_tf.errors import InputError


def unit_length(rows: np.ndarray) -> np.ndarray:
    """Scale rows [..., dim] to unit Euclidean length; rows of zeros stay zero."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


def within_class_scatter(
    embeddings: np.ndarray, class_sizes: np.ndarray, scale: Callable[[np.ndarray], np.ndarray] = lambda rows: rows
) -> tuple[np.ndarray, np.ndarray]:
    """Return the class means [classes, dim] and the covariance matrix within the classes [dim, dim], float64.

    Embeddings [rows, dim] are sorted by class; `scale` is applied to the rows of each class before.
    """
    dim = embeddings.shape[1]
    means, scatter, first = [], np.zeros((dim, dim)), 0
    for size in class_sizes:
        rows = scale(np.asarray(embeddings[first : first + size], np.float64))
        first += size
        means.append(rows.mean(axis=0))
        scatter += (rows - means[-1]).T @ (rows - means[-1])
    return np.stack(means), scatter / max(1, len(embeddings) - len(class_sizes))


class PrincipalScatter(NamedTuple):
    """Within-class scatter of embeddings of unit length by principal direction."""

    mean: np.ndarray  # [dim], of the class means
    variances: np.ndarray  # [dim]
    directions: np.ndarray  # [dim, dim], in columns
    class_means: np.ndarray  # [classes, dim]
    class_sizes: np.ndarray  # [classes]

    def deviations(self, shrinkage: float) -> np.ndarray:
        """Return standard deviations [dim] with this share of the mean variance added to every direction's variance."""
        return np.sqrt(self.variances + shrinkage * self.variances.mean())


def principal_scatter(embeddings: np.ndarray, class_sizes: np.ndarray) -> PrincipalScatter:
    """Return the PrincipalScatter of embeddings [rows, dim] that are sorted by class."""
    means, covariance = within_class_scatter(embeddings, class_sizes, scale=unit_length)
    if not np.trace(covariance) > 0:
        raise InputError(
            "No meta-training class has two different embeddings; whitening needs the scatter within classes. Give "
            "more examples of each class."
        )
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances, 0.0)  # rounding leaves some slightly below 0
    return PrincipalScatter(means.mean(axis=0), variances, directions, means, np.asarray(class_sizes))
