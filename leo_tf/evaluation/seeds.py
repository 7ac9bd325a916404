"""Spread of results when training is repeated with other seeds."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from leo_tf.errors import InputError
from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.evaluation.results import Result, require_same_tasks


class SeedSummary(NamedTuple):
    """Mean and sample standard deviation, over training seeds, of the mean scores of runs.

    An interval over tasks, in contrast, is about one trained model and shrinks with more tasks.
    """

    mean: float
    standard_deviation: float
    num_runs: int
    measure: str = "accuracy"

    def __str__(self) -> str:
        over = f"(standard deviation over {self.num_runs} training seeds)"
        if self.measure == "accuracy":
            return f"{100 * self.mean:.2f} % +- {100 * self.standard_deviation:.2f} {over}"
        return f"{self.measure} {self.mean:.4f} +- {self.standard_deviation:.4f} {over}"


def seed_summary(results: Iterable[Result], shots: int | None = None) -> SeedSummary:
    """Summarise runs that differ only in the training seed, at a number of shots or the first that was evaluated.

    Raises:
      InputError: fewer than two runs, different tasks, the same model twice, or this number of shots was not evaluated.
    """
    results = list(results)
    if len(results) < 2:
        raise InputError(f"Got {len(results)} runs; a standard deviation over seeds needs at least 2.", "seed_runs")
    require_same_tasks(results)
    if len({result.model_fingerprint for result in results}) < len(results):
        raise InputError("The same trained model occurs twice; expected runs of different seeds.", "seed_runs")
    shots = results[0].shots_evaluated[0] if shots is None else shots
    means = np.array([np.asarray(result.task_scores(shots), np.float64).mean() for result in results])
    return SeedSummary(float(means.mean()), float(means.std(ddof=1)), len(means), type(results[0]).measure)


def difference_over_seeds(pairs: Iterable[tuple[Result, Result]], shots: int | None = None) -> Interval:
    """Return the Interval over tasks of the difference between two settings, averaged over training seeds.

    A pair is (Result, Result of the other setting) with one seed, all of the same tasks; shots as for `seed_summary`.
    """
    pairs = list(pairs)
    if not pairs:
        raise InputError("Got no pairs of results; expected one for each seed.")
    require_same_tasks([result for pair in pairs for result in pair])
    shots = pairs[0][0].shots_evaluated[0] if shots is None else shots
    scores = [[np.asarray(result.task_scores(shots), np.float64) for result in pair] for pair in pairs]
    return confidence_interval(np.mean([one - other for one, other in scores], axis=0))
