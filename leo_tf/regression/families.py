"""The family that fits a function more closely: lines or sinusoids."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def looks_sinusoid(values: Any, x: Any) -> np.ndarray:
    """Return, bool [...], which functions [..., n] at x [n] are closer to a sinusoid than to a line.

    A function belongs to the family whose closest member fits it better in least squares: a + b x, or
    a sin(x) + b cos(x), which is any amplitude and phase. Both have two coefficients.
    """
    x = np.asarray(x, np.float64)
    line, sinusoid = (_residual(values, features) for features in ((np.ones_like(x), x), (np.sin(x), np.cos(x))))
    return sinusoid < line


def _residual(values: Any, features: Sequence[np.ndarray]) -> np.ndarray:
    """Return the squared distance of functions [..., n] from the span of features, [...]."""
    basis, _ = np.linalg.qr(np.stack(features, axis=1))
    values = np.asarray(values, np.float64)
    return np.sum(values**2, axis=-1) - np.sum((values @ basis) ** 2, axis=-1)
