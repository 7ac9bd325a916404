"""Linear transforms of embeddings, fitted on the meta-training classes alone.

In this order: unit length, centre, multiply, unit length. Whitening makes every direction vary alike within a class, so
that distances to class means are judged by how much a class scatters. PLDA then gives every direction the weight that
it has for telling classes apart.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from leo_tf.config.leo import TRANSFORMS, LEOConfig
from leo_tf.data import plda
from leo_tf.errors import InputError

SHRINKAGE, BETWEEN = LEOConfig.within_class_shrinkage, LEOConfig.between_class_shrinkage
_ROWS_AT_ONCE = 65_536


def fit_transform(table, kind, shrinkage=SHRINKAGE, between=BETWEEN, shots=1):
    """Fit a transform to the classes of a table.

    Args:
      table: EmbeddingTable of the meta-training classes.
      kind: "center", "whiten" or "plda".
      shrinkage: share of the mean within-class variance that is added to every direction's variance; keeps directions
        of little or no variance from being blown up, also where there are fewer rows than dimensions.
      between: of plda, the share of the mean variance between classes that is added to every direction's.
      shots: of plda, the examples that a class mean will be of.

    Returns:
      (mean [dim], matrix [dim, dim]) float64: of the class means, and what centred embeddings are multiplied by.

    Raises:
      InputError: an unknown kind, or no class has two different embeddings.
    """
    if kind not in TRANSFORMS[1:]:
        raise InputError(f"Got transform {kind!r}; expected {', '.join(TRANSFORMS[1:-1])} or {TRANSFORMS[-1]}.")
    if kind == "center":
        return within_classes(table, scaled=unit_length).means.mean(axis=0), np.eye(table.dim)
    scatter = principal_scatter(table)
    whitening = scatter.directions / scatter.deviations(shrinkage)
    if kind == "plda":
        whitening = whitening @ plda.scaling(scatter.spread(shrinkage), between, shots)
    return scatter.mean, whitening @ scatter.directions.T


class Scatter(NamedTuple):
    """How embeddings of unit length scatter within classes, by principal direction."""

    mean: np.ndarray  # [dim], of the class means
    variances: np.ndarray  # [dim]
    directions: np.ndarray  # [dim, dim], in columns
    class_means: np.ndarray  # [classes, dim]
    class_sizes: np.ndarray  # [classes]

    def deviations(self, shrinkage):
        """Return standard deviations [dim] with this share of the mean variance added to every direction's."""
        return np.sqrt(self.variances + shrinkage * self.variances.mean())

    def spread(self, shrinkage):
        """Return the plda.Spread of class means in principal directions, whitened with this shrinkage."""
        means = (self.class_means - self.mean) @ self.directions / self.deviations(shrinkage)
        return plda.spread_of(means, self.class_sizes)


def principal_scatter(table):
    """Return the Scatter within the classes of an EmbeddingTable.

    Raises:
      InputError: no class has two different embeddings.
    """
    means, covariance = within_classes(table, scaled=unit_length)
    if not np.trace(covariance) > 0:
        raise InputError(
            f"{table.source} has no two different embeddings of one class; whitening needs the scatter within classes. "
            "Give more examples, or feature_transform=center."
        )
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances, 0.0)  # rounding leaves some a little below 0
    return Scatter(means.mean(axis=0), variances, directions, means, np.asarray(table.class_sizes))


class Within(NamedTuple):
    """Means of the classes [classes, dim], and the covariance [dim, dim] that they share, float64."""

    means: np.ndarray
    covariance: np.ndarray


def within_classes(table, scaled=lambda rows: rows):
    """Return the Within of a table.

    Args:
      table: EmbeddingTable.
      scaled: function of rows [rows, dim] that they go through before.
    """
    means, scatter = [], np.zeros((table.dim, table.dim))
    for first, size in zip(table.class_offsets, table.class_sizes, strict=True):
        rows = scaled(np.asarray(table.embeddings[first : first + size], np.float64))
        means.append(rows.mean(axis=0))
        scatter += (rows - means[-1]).T @ (rows - means[-1])
    return Within(np.stack(means), scatter / max(1, table.num_rows - table.num_classes))


def apply_transform(embeddings, mean, matrix):
    """Transform embeddings [rows, dim]; returns float32 of unit length, [rows, dim]."""
    starts = range(0, len(embeddings), _ROWS_AT_ONCE)
    parts = (np.asarray(embeddings[first : first + _ROWS_AT_ONCE], np.float64) for first in starts)
    return np.concatenate([unit_length((unit_length(part) - mean) @ matrix).astype(np.float32) for part in parts])


def unit_length(rows):
    """Scale rows [rows, dim] to unit Euclidean length; rows of zeros stay zero."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


def transformed(table, mean, matrix, constant=False):
    """Return a table with transformed embeddings, which a constant 1 may join as their last coordinate.

    The digest stays that of the data, whose rows are the same.
    """
    rows = apply_transform(table.embeddings, mean, matrix)
    if constant:
        rows = np.concatenate([rows, np.ones([len(rows), 1], rows.dtype)], axis=1)
    return dataclasses.replace(table, embeddings=rows, source=f"{table.source}, transformed")
