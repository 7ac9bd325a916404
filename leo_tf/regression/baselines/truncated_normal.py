"""Normal densities cut off at two limits, given by precision, as a likelihood linear in one coefficient gives them."""

import math
from typing import NamedTuple

import numpy as np
from scipy import special

_LEAST_PRECISION = 1e-8  # with limits within 5, changes a log density by 1e-7 at most, and no division is by zero


class TruncatedNormal(NamedTuple):
    """A batch of them, any shape; the limits are standardised, and may both lie far in one tail."""

    centre: np.ndarray
    stddev: np.ndarray
    low: np.ndarray
    high: np.ndarray
    log_between: np.ndarray  # log of the standard normal probability between the limits

    def log_integral(self):
        """Return the log of the integral of exp(linear z - precision z^2 / 2) between the limits."""
        return 0.5 * (self.centre / self.stddev) ** 2 + np.log(math.sqrt(2 * math.pi) * self.stddev) + self.log_between

    def mean(self):
        """Return the mean."""
        density_low, density_high = (np.exp(-0.5 * limit**2 - self.log_between) for limit in (self.low, self.high))
        return self.centre + self.stddev * (density_low - density_high) / math.sqrt(2 * math.pi)

    def quantile(self, probability):
        """Return the number below which a share `probability` of it lies, in [0, 1) and broadcast."""
        mirrored = self.low > 0  # in the lower tail logarithms of small probabilities are exact
        start = special.log_ndtr(np.where(mirrored, -self.high, self.low))
        share = np.where(mirrored, 1 - probability, probability)
        with np.errstate(divide="ignore"):
            value = special.ndtri_exp(np.minimum(np.logaddexp(start, np.log(share) + self.log_between), 0.0))
        return self.centre + self.stddev * np.clip(np.where(mirrored, -value, value), self.low, self.high)


def truncated_normal(precision, linear, low, high):
    """Return the distribution with density proportional to exp(linear z - precision z^2 / 2) for z from low to high.

    Args:
      precision: at least 0, any shape.
      linear: of the same shape.
      low, high: floats, of magnitude 5 at most.

    Returns:
      TruncatedNormal.
    """
    precision = np.maximum(precision, _LEAST_PRECISION)
    stddev = 1 / np.sqrt(precision)
    centre = linear / precision
    low, high = (low - centre) / stddev, (high - centre) / stddev
    mirrored = low > 0
    log_low = special.log_ndtr(np.where(mirrored, -high, low))
    log_high = special.log_ndtr(np.where(mirrored, -low, high))
    tiny = np.finfo(np.float64).tiny  # rounding can make the two equal
    log_between = log_high + np.log(-np.expm1(np.minimum(log_low - log_high, -tiny)))
    return TruncatedNormal(centre, stddev, low, high, log_between)
