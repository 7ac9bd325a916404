"""Linear transforms of embeddings, fitted on the meta-training classes alone.

In this order: unit length, centre, multiply, unit length. Whitening makes every direction vary alike within a class, so
that distances to class means are judged by how much a class scatters.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from leo_tf.config.model import TRANSFORMS, LEOConfig
from leo_tf.errors import InputError

SHRINKAGE = LEOConfig.transform_shrinkage
_ROWS_AT_ONCE = 65_536


def fit_transform(table, kind, shrinkage=SHRINKAGE):
    """Fit a transform to the classes of a table.

    Args:
      table: EmbeddingTable of the meta-training classes.
      kind: "center" or "whiten".
      shrinkage: share of the mean within-class variance that is added to every direction's variance; keeps directions
        of little or no variance from being blown up, also where there are fewer rows than dimensions.

    Returns:
      (mean [dim], matrix [dim, dim]) float64: of the class means, and what centred embeddings are multiplied by.

    Raises:
      InputError: an unknown kind, or no class has two different embeddings.
    """
    if kind not in TRANSFORMS[1:]:
        raise InputError(f"Got transform {kind!r}; expected {' or '.join(TRANSFORMS[1:])}.")
    if kind == "center":
        return within_class_covariance(table, scaled=unit_length)[0], np.eye(table.dim)
    scatter = principal_scatter(table)
    return scatter.mean, (scatter.directions / scatter.deviations(shrinkage)) @ scatter.directions.T


class Scatter(NamedTuple):
    """How embeddings of unit length scatter within classes, by principal direction."""

    mean: np.ndarray  # [dim], of the class means
    variances: np.ndarray  # [dim]
    directions: np.ndarray  # [dim, dim], in columns

    def deviations(self, shrinkage):
        """Return standard deviations [dim] with this share of the mean variance added to every direction's."""
        return np.sqrt(self.variances + shrinkage * self.variances.mean())


def principal_scatter(table):
    """Return the Scatter within the classes of an EmbeddingTable.

    Raises:
      InputError: no class has two different embeddings.
    """
    mean, covariance = within_class_covariance(table, scaled=unit_length)
    if not np.trace(covariance) > 0:
        raise InputError(
            f"{table.source} has no two different embeddings of one class; whitening needs the scatter within classes. "
            "Give more examples, or embedding_transform=center."
        )
    variances, directions = np.linalg.eigh(covariance)
    return Scatter(mean, np.maximum(variances, 0.0), directions)  # rounding leaves some a little below 0


def within_class_covariance(table, scaled=lambda rows: rows):
    """Return the covariance within the classes of a table, shared by all of them.

    Args:
      table: EmbeddingTable.
      scaled: function of rows [rows, dim] that they go through before.

    Returns:
      (mean [dim], covariance [dim, dim]) float64; the mean is of the class means.
    """
    means, scatter = [], np.zeros((table.dim, table.dim))
    for first, size in zip(table.class_offsets, table.class_sizes, strict=True):
        rows = scaled(np.asarray(table.embeddings[first : first + size], np.float64))
        means.append(rows.mean(axis=0))
        scatter += (rows - means[-1]).T @ (rows - means[-1])
    return np.mean(means, axis=0), scatter / max(1, table.num_rows - table.num_classes)


def apply_transform(embeddings, mean, matrix):
    """Transform embeddings [rows, dim]; returns float32 of unit length, [rows, dim]."""
    starts = range(0, len(embeddings), _ROWS_AT_ONCE)
    parts = (np.asarray(embeddings[first : first + _ROWS_AT_ONCE], np.float64) for first in starts)
    return np.concatenate([unit_length((unit_length(part) - mean) @ matrix).astype(np.float32) for part in parts])


def unit_length(rows):
    """Scale rows [rows, dim] to unit Euclidean length; rows of zeros stay zero."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


def transformed(table, mean, matrix):
    """Return a table with transformed embeddings; the digest stays that of the data, whose rows are the same."""
    return dataclasses.replace(
        table, embeddings=apply_transform(table.embeddings, mean, matrix), source=f"{table.source}, transformed"
    )
