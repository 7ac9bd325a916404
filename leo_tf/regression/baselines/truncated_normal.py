"""Truncated normal distributions, parametrised by precision as in a likelihood that is linear in one coefficient."""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import special, stats

_LEAST_PRECISION = 1e-8  # avoids division by zero; for limits up to 5 it changes a log density by at most 1e-7


class TruncatedNormal(NamedTuple):
    """A batch of distributions, of any shape; the limits are standardised, and both may lie far in one tail."""

    centre: np.ndarray
    stddev: np.ndarray
    low: np.ndarray
    high: np.ndarray
    log_between: np.ndarray  # log of the standard normal probability between the limits

    def log_integral(self) -> np.ndarray:
        """Return the log of the integral of exp(linear z - precision z^2 / 2) between the limits."""
        return 0.5 * (self.centre / self.stddev) ** 2 + np.log(math.sqrt(2 * math.pi) * self.stddev) + self.log_between

    def mean(self) -> np.ndarray:
        """Return the mean."""
        density_low, density_high = (np.exp(-0.5 * limit**2 - self.log_between) for limit in (self.low, self.high))
        return self.centre + self.stddev * (density_low - density_high) / math.sqrt(2 * math.pi)

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Return the quantiles at `probability`, in [0, 1) and broadcast."""
        return self.centre + self.stddev * stats.truncnorm.ppf(probability, self.low, self.high)


def truncated_normal(precision: Any, linear: Any, low: float, high: float) -> TruncatedNormal:
    """Return the distribution with density proportional to exp(linear z - precision z^2 / 2) for z from low to high.

    precision, at least 0, and linear are of the same shape; low and high are limits between -5 and 5.
    """
    precision = np.maximum(precision, _LEAST_PRECISION)
    stddev = 1 / np.sqrt(precision)
    centre = linear / precision
    lower, upper = (low - centre) / stddev, (high - centre) / stddev
    mirrored = lower > 0
    log_low = special.log_ndtr(np.where(mirrored, -upper, lower))
    log_high = special.log_ndtr(np.where(mirrored, -lower, upper))
    tiny = np.finfo(np.float64).tiny  # rounding can make the two equal
    log_between = log_high + np.log(-np.expm1(np.minimum(log_low - log_high, -tiny)))
    return TruncatedNormal(centre, stddev, lower, upper, log_between)
