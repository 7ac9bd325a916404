"""Calibrated spread: one number that samples are stretched by about their mean, chosen on validation tasks."""

from typing import NamedTuple

from scipy import optimize

from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.regression.metrics import LEVELS, coverage, crps
from leo_tf.regression.sampling import FunctionSampler

_LARGEST = 20.0


def stretch(samples, factor):
    """Return samples [samples, ...] with `factor` times their distance from their mean; the mean stays."""
    mean = samples.mean(axis=0)
    return mean + factor * (samples - mean)


def fit_spread(samples, truth):
    """Return the factor of least continuous ranked probability score, which is convex in it.

    Args:
      samples: [samples, tasks, points].
      truth: [tasks, points].

    Returns:
      Float from 0 to 20.
    """

    def score(factor):
        return crps(stretch(samples, factor), truth).mean()

    return float(optimize.minimize_scalar(score, bounds=(0.0, _LARGEST), method="bounded", options={"xatol": 1e-3}).x)


class CalibratedSpread(NamedTuple):
    """Scores of stretched samples; the error of their mean is that of the samples."""

    factor: float
    fitted_on: int  # validation tasks
    shots: int
    crps: Interval
    coverage: dict  # {level: Interval}

    def summary(self):
        """Return a plain dict, for JSON."""
        levels = {str(level): found._asdict() for level, found in self.coverage.items()}
        return {**self._asdict(), "crps": self.crps._asdict(), "coverage": levels}

    def __str__(self):
        return (
            f"spread times {self.factor:.2f} (chosen on {self.fitted_on} validation tasks), {self.shots} shot: crps "
            f"{self.crps.mean:.4f}, 90 % interval covers {100 * self.coverage[0.9].mean:.1f} %"
        )


def evaluate_spread(model, validation, tasks, shots, num_samples=100, batch_size=200, jit=True):
    """Choose the factor on validation tasks, and score what it makes of the samples of others.

    Args:
      model: RegressionLearner that samples.
      validation, tasks: RegressionTasks.
      shots: number of support points of both.
      num_samples: functions sampled for each task, at least 2.
      batch_size, jit: as for FunctionSampler.

    Returns:
      CalibratedSpread.
    """
    sampler = FunctionSampler(model, batch_size, jit)

    def samples(of):
        support_x, support_y = of.support(shots)
        return sampler.functions(support_x, support_y, num_samples)

    found = samples(validation)
    factor = fit_spread(found, validation.truth)
    stretched = stretch(samples(tasks), factor)
    covered = map(confidence_interval, coverage(stretched, tasks.truth, LEVELS))
    scores = confidence_interval(crps(stretched, tasks.truth))
    return CalibratedSpread(factor, len(validation), shots, scores, dict(zip(LEVELS, covered, strict=True)))
