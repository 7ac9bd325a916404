"""Compare runs: two on the same tasks, task by task; several training seeds, run by run."""

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy import stats

from leo_tf.errors import InputError
from leo_tf.evaluation.intervals import Interval, confidence_interval

# Accuracies are ratios of float32 numbers; one query more or less in a task changes them by far more than this.
_TIE = 1e-6
_IDENTITY = ("data", "ways", "shots", "queries", "num_tasks", "seed", "stream", "tasks")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A paired comparison of two models: `difference` is the first's accuracy less the second's, task by task."""

    difference: Interval
    wins: int  # tasks on which the first is better
    ties: int
    losses: int
    p_value: float  # two-sided, paired t-test of no difference

    def summary(self):
        """Return a plain dict, for JSON."""
        return {**dataclasses.asdict(self), "difference": self.difference._asdict()}

    def __str__(self):
        mean, half_width = (100 * value for value in self.difference)
        return (
            f"{mean:+.2f} +- {half_width:.2f} points (95 % confidence interval, paired over the same tasks), "
            f"{self.wins} wins, {self.ties} ties, {self.losses} losses, p = {self.p_value:.2g}"
        )


def compare(first, second):
    """Compare two models evaluated on the same tasks.

    The difficulty of a task is common to both, so that the interval of the difference is narrower than the two
    intervals suggest.

    Args:
      first, second: EvaluationResult.

    Returns:
      Comparison.

    Raises:
      InputError: the results are of different tasks; the message names what differs.
    """
    require_same_tasks([first, second])
    return compare_paired(first.task_accuracy, second.task_accuracy)


def compare_paired(first, second):
    """Compare per-task accuracies [tasks] of the same tasks; see `compare`."""
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    ties = np.abs(differences) < _TIE
    differences[ties] = 0.0
    if np.ptp(differences) == 0:  # the t-test divides by the standard deviation
        p_value = 0.0 if differences[0] else 1.0
    else:
        p_value = float(stats.ttest_1samp(differences, 0.0).pvalue)
    wins = int(np.sum(differences > 0))
    return Comparison(
        confidence_interval(differences), wins, int(ties.sum()), differences.size - wins - int(ties.sum()), p_value
    )


def require_same_tasks(results):
    """Raise InputError, which names what differs, unless all EvaluationResults are of the same tasks."""
    first = results[0]
    for other in results[1:]:
        if other.tasks != first.tasks:
            pairs = {name: (getattr(first, name), getattr(other, name)) for name in _IDENTITY}
            differing = [f"{name} {_short(a)} != {_short(b)}" for name, (a, b) in pairs.items() if a != b]
            raise InputError(
                f"The results are of different tasks: {', '.join(differing)}. Evaluate both with the same flags, or "
                "on one --tasks file."
            )


def _short(value):
    return f"{value[:12]}..." if isinstance(value, str) else value


class SeedSummary(NamedTuple):
    """Mean and sample standard deviation, over training seeds, of the mean accuracies of runs.

    How much results scatter when training is repeated. Not an interval over tasks: that one is about one trained model,
    and shrinks with more tasks.
    """

    mean: float
    standard_deviation: float
    num_runs: int

    def percent(self):
        """Return the text `61.22 % +- 0.10 (standard deviation over 3 training seeds)`."""
        return (
            f"{100 * self.mean:.2f} % +- {100 * self.standard_deviation:.2f} "
            f"(standard deviation over {self.num_runs} training seeds)"
        )


def seed_summary(results):
    """Summarise runs that differ in the training seed alone.

    Args:
      results: an EvaluationResult for each run, at least 2, of the same tasks.

    Returns:
      SeedSummary.

    Raises:
      InputError: fewer than two runs, different tasks, or the same model twice.
    """
    results = list(results)
    if len(results) < 2:
        raise InputError(f"Got {len(results)} runs; a standard deviation over seeds needs at least 2.")
    require_same_tasks(results)
    if len({result.model for result in results}) < len(results):
        raise InputError("The same trained model comes twice among the runs; expected runs of different seeds.")
    means = np.array([result.accuracy.mean for result in results])
    return SeedSummary(float(means.mean()), float(means.std(ddof=1)), len(means))
