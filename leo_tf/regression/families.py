"""Which family a function looks like: the better fit of a line and of a sinusoid."""

import numpy as np


def looks_sinusoid(values, x):
    """Tell sinusoid-like functions from line-like ones.

    A function counts for the family that has the member closest to it in least squares: a + b x, or
    a sin(x) + b cos(x), which is any amplitude and phase. Both have two coefficients.

    Args:
      values: functions [..., n] at x.
      x: [n].

    Returns:
      bool [...], True for sinusoid-like.
    """
    x = np.asarray(x, np.float64)
    line, sinusoid = (_residual(values, features) for features in ((np.ones_like(x), x), (np.sin(x), np.cos(x))))
    return sinusoid < line


def _residual(values, features):
    """Return the squared distance of functions [..., n] from the span of features, [...]."""
    basis, _ = np.linalg.qr(np.stack(features, axis=1))
    values = np.asarray(values, np.float64)
    return np.sum(values**2, axis=-1) - np.sum((values @ basis) ** 2, axis=-1)
