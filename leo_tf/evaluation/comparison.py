"""Compare two models on the same tasks, task by task."""

import dataclasses
from typing import Any

import numpy as np

from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.evaluation.results import Result, require_same_tasks

_TIE = 1e-6  # relative differences below it are rounding: scores are ratios and means of float32 numbers


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A paired comparison of two models: `difference` is the first's score minus the second's, task by task."""

    difference: Interval
    wins: int  # tasks on which the first is better
    ties: int
    losses: int
    p_value: float  # two-sided, paired t-test of no difference
    measure: str = "accuracy"

    def summary(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "difference": self.difference._asdict()}

    def __str__(self) -> str:
        mean, half_width = self.difference
        if self.measure == "accuracy":
            shown = f"{100 * mean:+.2f} +- {100 * half_width:.2f} points"
        else:
            shown = f"{self.measure} {mean:+.4f} +- {half_width:.4f}"
        return (
            f"{shown} (95 % confidence interval, paired over the same tasks), "
            f"{self.wins} wins, {self.ties} ties, {self.losses} losses, p = {self.p_value:.2g}"
        )


def compare(first: Result, second: Result, shots: int | None = None) -> Comparison:
    """Compare two models on the same tasks, at the number of shots or the first that `first` was evaluated at.

    A task is hard for both models, so that the interval of the difference is narrower than their own suggest.

    Raises:
      InputError: the results are of different tasks, or were not evaluated at this number of shots.
    """
    require_same_tasks([first, second])
    shots = first.shots_evaluated[0] if shots is None else shots
    return compare_paired(
        first.task_scores(shots), second.task_scores(shots), type(first).higher_is_better, type(first).measure
    )


def compare_paired(first: Any, second: Any, higher_is_better: bool = True, measure: str = "accuracy") -> Comparison:
    """Compare per-task scores [tasks] of the same tasks; see `compare`."""
    from scipy import stats

    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    differences = np.where(np.isclose(first, second, rtol=_TIE, atol=0.0), 0.0, first - second)
    if np.ptp(differences) == 0:  # the t-test divides by the standard deviation
        p_value = 0.0 if differences[0] else 1.0
    else:
        p_value = float(stats.ttest_1samp(differences, 0.0).pvalue)
    above, below = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    wins, losses = (above, below) if higher_is_better else (below, above)
    ties = differences.size - wins - losses
    return Comparison(confidence_interval(differences), wins, ties, losses, p_value, measure)
