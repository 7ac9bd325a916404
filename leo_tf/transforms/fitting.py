"""Transforms that the meta-training classes determine, applied in NumPy."""

from typing import NamedTuple

import numpy as np

from leo_tf.transforms.plda import Plda, gain
from leo_tf.transforms.scatter import PrincipalScatter, unit_length

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


def whitening(scatter: PrincipalScatter, shrinkage: float = SHRINKAGE) -> FittedTransform:
    """Make every direction vary alike within a class, so that distances are relative to how much a class scatters."""
    return FittedTransform(scatter.mean, (scatter.directions / scatter.deviations(shrinkage)) @ scatter.directions.T)


def plda_transform(plda: Plda, shots: int = 1) -> FittedTransform:
    """Weight the axes of PLDA by how well they separate classes of `shots` examples."""
    return FittedTransform(plda.mean, plda.axes * gain(plda.variances, shots))
