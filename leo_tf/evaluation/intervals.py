"""A mean over tasks and its confidence interval."""

from typing import Any, NamedTuple

import numpy as np

from leo_tf.errors import InputError


class Interval(NamedTuple):
    """A mean over tasks and the half-width of its 95 % confidence interval."""

    mean: float
    half_width: float

    def percent(self) -> str:
        """Return the text `61.12 +- 0.21 %`."""
        return f"{100 * self.mean:.2f} +- {100 * self.half_width:.2f} %"


def confidence_interval(values: Any) -> Interval:
    """Return the mean of independent values [tasks] and its 95 % confidence interval by Student's t.

    Raises:
      InputError: fewer than two values, from which no interval can be computed.
    """
    from scipy import stats  # takes half a second, which a prediction need not wait for

    values = np.asarray(values, np.float64)
    if values.size < 2:
        raise InputError(f"Got {values.size} task results; an interval needs at least 2 tasks.")
    return Interval(float(values.mean()), float(stats.sem(values) * stats.t.ppf(0.975, values.size - 1)))
