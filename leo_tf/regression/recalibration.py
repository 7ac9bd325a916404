"""Recalibration of sampled functions: a factor on their distance from the mean, fitted on validation tasks."""

from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.regression.metrics import LEVELS, coverage, crps
from leo_tf.regression.sampling import FunctionSampler
from leo_tf.regression.tasks import RegressionTasks

_MAX_FACTOR = 20.0


def stretch(samples: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the distance of samples [samples, ...] from their mean by `factor`."""
    mean = samples.mean(axis=0)
    return mean + factor * (samples - mean)


def fit_spread(samples: np.ndarray, truth: np.ndarray) -> float:
    """Return the factor, 0 to 20, with the least crps, which is convex in it, of samples [samples, tasks, points]."""
    options: Any = {"bounds": (0.0, _MAX_FACTOR), "method": "bounded", "options": {"xatol": 1e-3}}
    found = optimize.minimize_scalar(lambda factor: crps(stretch(samples, factor), truth).mean(), **options)
    return float(found.x)


class CalibratedSpread(NamedTuple):
    """Scores of stretched samples, whose mean, and so its error, is unchanged."""

    factor: float
    fitted_on: int  # number of validation tasks
    shots: int
    crps: Interval
    coverage: dict[float, Interval]  # by level

    def summary(self) -> dict[str, Any]:
        """Return a plain dict for JSON."""
        levels = {str(level): found._asdict() for level, found in self.coverage.items()}
        return {**self._asdict(), "crps": self.crps._asdict(), "coverage": levels}

    def __str__(self) -> str:
        return (
            f"spread times {self.factor:.2f} (chosen on {self.fitted_on} validation tasks), {self.shots} shot: crps "
            f"{self.crps.mean:.4f}, 90 % interval covers {100 * self.coverage[0.9].mean:.1f} %"
        )


def evaluate_spread(
    sampler: FunctionSampler, validation: RegressionTasks, tasks: RegressionTasks, shots: int, num_samples: int
) -> CalibratedSpread:
    """Fit the factor on validation tasks, and score the stretched samples of other tasks, at least 2 per task."""
    factor = fit_spread(sampler.functions(*validation.support(shots), num_samples), validation.truth)
    stretched = stretch(sampler.functions(*tasks.support(shots), num_samples), factor)
    covered = map(confidence_interval, coverage(stretched, tasks.truth, LEVELS))
    scores = confidence_interval(crps(stretched, tasks.truth))
    return CalibratedSpread(factor, len(validation), shots, scores, dict(zip(LEVELS, covered, strict=True)))
