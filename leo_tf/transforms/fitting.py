"""Fit a transform to the meta-training classes, and apply it in NumPy."""

from typing import NamedTuple

import numpy as np

from leo_tf.config.proto_leo import TRANSFORMS
from leo_tf.errors import InputError
from leo_tf.transforms import plda
from leo_tf.transforms.scatter import principal_scatter, unit_length, within_class_scatter

SHRINKAGE = 0.3  # default share of the mean variance that is added to every direction's
_ROWS_AT_ONCE = 65_536


class FittedTransform(NamedTuple):
    """Unit length, subtract `mean`, multiply by `matrix`, unit length."""

    mean: np.ndarray  # [dim] float64
    matrix: np.ndarray  # [dim, dim] float64

    def apply(self, embeddings: np.ndarray) -> np.ndarray:
        """Transform embeddings [rows, dim]; return float32 rows of unit length, [rows, dim]."""
        starts = range(0, len(embeddings), _ROWS_AT_ONCE)
        parts = (np.asarray(embeddings[first : first + _ROWS_AT_ONCE], np.float64) for first in starts)
        return np.concatenate(
            [unit_length((unit_length(part) - self.mean) @ self.matrix).astype(np.float32) for part in parts]
        )


def fit_transform(
    kind: str,
    embeddings: np.ndarray,
    class_sizes: np.ndarray,
    within_class_shrinkage: float = SHRINKAGE,
    between_class_shrinkage: float = SHRINKAGE,
    shots: int = 1,
) -> FittedTransform:
    """Fit a transform.

    Args:
      kind: "none", "center", "whiten" or "plda".
      embeddings: [rows, dim] of the meta-training classes, sorted by class.
      class_sizes: [classes], numbers of rows per class.
      within_class_shrinkage: share of the mean within-class variance that is added to every direction's variance. It
        keeps directions of little or no variance from being blown up, also with fewer rows than dimensions.
      between_class_shrinkage: for "plda", the share of the mean between-class variance that is added to every
        direction's.
      shots: for "plda", the number of examples per class that it is optimal for.

    Returns:
      FittedTransform.

    Raises:
      InputError: an unknown kind, or no class has two different embeddings.
    """
    if kind not in TRANSFORMS:
        raise InputError(f"Got transform {kind!r}; expected one of {', '.join(TRANSFORMS)}.", "feature_transform")
    dim = embeddings.shape[1]
    if kind == "none":
        return FittedTransform(np.zeros(dim), np.eye(dim))
    if kind == "center":
        means, _ = within_class_scatter(embeddings, class_sizes, scale=unit_length)
        return FittedTransform(means.mean(axis=0), np.eye(dim))
    scatter = principal_scatter(embeddings, class_sizes)
    whitening = scatter.directions / scatter.deviations(within_class_shrinkage)
    if kind == "plda":
        spread = scatter.class_mean_spread(within_class_shrinkage)
        whitening = whitening @ plda.scaling(spread, between_class_shrinkage, shots)
    return FittedTransform(scatter.mean, whitening @ scatter.directions.T)
