"""Scores of sampled functions against the true function: of their mean, their distribution and their intervals.

Samples are [samples, tasks, points], truth is [tasks, points]. Every score looks at one point at a time, so that
samples need not be joint over points, and is the mean over a task's points.
"""

from typing import Any, NamedTuple

import numpy as np

from leo_tf.errors import InputError

LEVELS = (0.5, 0.8, 0.9, 0.95)


class FunctionScores(NamedTuple):
    """Scores of sampled functions, task by task; errors are against the function without noise."""

    squared_error: np.ndarray  # [tasks], of the mean of the samples
    single_squared_error: np.ndarray  # [tasks], of one sample, on average
    crps: np.ndarray  # [tasks]
    coverage: np.ndarray  # [levels, tasks], fractions of the grid inside the central intervals of LEVELS


def score(samples: np.ndarray, truth: np.ndarray) -> FunctionScores:
    """Score sampled functions [samples, tasks, n] against the true ones [tasks, n]; return FunctionScores."""
    single = np.mean((samples - truth) ** 2, axis=(0, 2))
    no_interval = np.full([len(LEVELS), len(truth)], np.nan)  # of a single function
    covered = coverage(samples, truth, LEVELS) if len(samples) > 1 else no_interval
    return FunctionScores(squared_error(samples, truth), single, crps(samples, truth), covered)


def squared_error(samples: Any, truth: Any) -> np.ndarray:
    """Return the squared error of the samples' mean, [tasks].

    On average it is the error of the distribution's mean plus the distribution's variance / samples; if the mean is
    known, pass it as one sample.
    """
    samples, truth = _checked(samples, truth)
    return np.mean((samples.mean(axis=0) - truth) ** 2, axis=-1)


def crps(samples: Any, truth: Any) -> np.ndarray:
    """Estimate the continuous ranked probability score, [tasks]; lower is better, in the unit of the targets.

    The score of a distribution is E|s - t| - E|s - s'| / 2 for independent samples s, s': the absolute error minus half
    the expected distance of two samples. The estimate is the fair one, mean |s_i - t| - mean over i != j of
    |s_i - s_j| / 2, whose expectation does not depend on the number of samples, so that 10 samples and 100 can be
    compared. It may be negative by chance. For one sample it is the absolute error.

    References:
      Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation" (JASA 2007), equation 21.
      Ferro, "Fair scores for ensemble forecasts" (QJRMS 2014), for the fair estimate.
    """
    samples, truth = _checked(samples, truth)
    error, count = np.abs(samples - truth).mean(axis=(0, 2)), len(samples)
    if count == 1:
        return error
    # The sum of s_j - s_i over all pairs i < j of sorted samples: s_i is the larger one of i pairs.
    sums = np.tensordot(2.0 * np.arange(count) - (count - 1), np.sort(samples, axis=0), axes=1)
    return error - sums.mean(axis=-1) / (count * (count - 1))


def coverage(samples: Any, truth: Any, levels: Any) -> np.ndarray:
    """Return the fractions of points, [levels, tasks], at which the truth lies in central intervals of the samples.

    The intervals run between the empirical quantiles at (1 - level) / 2 and (1 + level) / 2. With few samples, NumPy's
    default definition of quantiles makes them too narrow: the 80 % interval of nine calibrated samples would cover
    66 %. Weibull's definition makes the i-th of n sorted samples the quantile i / (n + 1), which is the probability
    that another draw from the same distribution is below it. A truth exchangeable with the samples is then covered with
    probability `level`: exactly if (n + 1) (1 - level) / 2 is an integer of at least 1, and within a few tenths of
    1 / n otherwise. The widest interval covers (n - 1) / (n + 1); higher levels cannot be reached. Points of one task
    are not independent: average over tasks.

    References:
      Hyndman and Fan, "Sample Quantiles in Statistical Packages" (The American Statistician 1996), definition 6.
    """
    samples, truth = _checked(samples, truth)
    levels = np.asarray(levels, np.float64)
    if levels.ndim != 1 or not np.all((levels > 0) & (levels < 1)):
        raise InputError(f"Got levels={levels.tolist()}; expected a list of numbers between 0 and 1, as [0.5, 0.9].")
    low, high = np.quantile(samples, [(1 - levels) / 2, (1 + levels) / 2], axis=0, method="weibull")
    return np.mean((low <= truth) & (truth <= high), axis=-1)


def _checked(samples: Any, truth: Any) -> tuple[np.ndarray, np.ndarray]:
    samples, truth = np.asarray(samples, np.float64), np.asarray(truth, np.float64)
    if samples.ndim != 3 or not len(samples) or samples.shape[1:] != truth.shape:
        raise InputError(
            f"Got samples {list(samples.shape)} and truth {list(truth.shape)}; expected [samples, tasks, points] with "
            "at least one sample and [tasks, points]; give a single prediction a leading axis of 1."
        )
    return samples, truth
