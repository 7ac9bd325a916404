"""Tasks whose points leave the family ambiguous: drawn with crowded inputs, selected by the exact posterior."""

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.errors import InputError
from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.regression.baselines.posterior import exact_posterior
from leo_tf.regression.episodes import INPUT, RegressionSampler
from leo_tf.regression.sampling import FunctionSampler
from leo_tf.regression.tasks import RegressionTasks, grid, join, looks_sinusoid

PROBABILITY = (0.4, 0.6)  # of a sinusoid, given the points
WINDOW = 3.5  # width of the interval that holds a task's inputs
_SHARE = 0.1  # of the samples that have to be of a family for it to count
_DRAWN_AT_ONCE = 2000
_MOST_DRAWN = 20_000  # at noise 0.3 and 5 shots, 145 of 4,000 are ambiguous
_LITTLE_NOISE = 0.05  # below it proportionally fewer are drawn: computing a posterior, 3 ms here, takes ~ 1 / noise


def draw_ambiguous(
    num_tasks: int, seed: int = 0, stream: int = randomness.TEST, noise_stddev: float = 0.3, shots: int = 5
) -> tuple[RegressionTasks, np.ndarray]:
    """Draw tasks whose points make both families about equally probable, and the probabilities of a sinusoid [tasks].

    Functions and noise are those of `RegressionSampler`; the inputs are uniform in a window of width 3.5 somewhere in
    the range. The first of these tasks whose exact posterior gives either family 40 to 60 % are returned.
    Raises InputError where such tasks are too rare, as with very little noise.
    """
    pair, sampler = randomness.stream_seed(seed, stream), RegressionSampler(shots, 1, noise_stddev)
    batches, found, most = [], 0, math.ceil(_MOST_DRAWN * min(noise_stddev / _LITTLE_NOISE, 1.0))
    for first in range(0, most, _DRAWN_AT_ONCE):
        tasks = _crowded(sampler, pair, first, min(_DRAWN_AT_ONCE, most - first))
        probability = exact_posterior(tasks.support_x, tasks.support_y, noise_stddev).sinusoid_probability
        chosen = (PROBABILITY[0] <= probability) & (probability <= PROBABILITY[1])
        batches.append((tasks.take(chosen), probability[chosen]))
        found += chosen.sum()
        if found >= num_tasks:
            parts, probabilities = zip(*batches, strict=True)
            return join(parts).take(slice(num_tasks)), np.concatenate(probabilities)[:num_tasks]
    raise InputError(
        f"Among {most} tasks of {shots} points with noise_stddev={noise_stddev} only {found} are ambiguous; "
        f"expected {num_tasks}. Ask for fewer, or take fewer points or more noise.",
        "noise_stddev",
    )


def _crowded(sampler: RegressionSampler, pair: tf.Tensor, first_task: int, num_tasks: int) -> RegressionTasks:
    episode = sampler.sample(pair, first_task, num_tasks)
    functions = sampler.functions(pair, first_task, num_tasks)
    whole = INPUT[1] - INPUT[0]
    x = episode.support_x * (WINDOW / whole) + episode.query_x * ((whole - WINDOW) / whole)  # the range is centred at 0
    y = functions(x) + episode.support_y - functions(episode.support_x)
    truth = functions(tf.constant(grid()[np.newaxis, :, np.newaxis], tf.float32))[..., 0]
    return RegressionTasks(x.numpy(), y.numpy(), truth.numpy(), functions.is_sinusoid.numpy())


class Ambiguity(NamedTuple):
    """Families of the functions sampled on ambiguous tasks."""

    num_tasks: int
    sinusoid_probability: float  # of the exact posterior, mean over tasks
    sinusoid_share: Interval  # of the samples that look like sinusoids
    both_families: Interval  # fraction of the tasks with at least 10 % of the samples in either family
    both_families_exact: float  # the same for samples of the exact posterior

    def summary(self) -> dict[str, Any]:
        """Return a plain dict for JSON."""
        return {k: v._asdict() if isinstance(v, Interval) else v for k, v in self._asdict().items()}

    def __str__(self) -> str:
        return (
            f"ambiguous tasks ({self.num_tasks}; exact posterior {100 * self.sinusoid_probability:.0f} % sinusoid): "
            f"{self.sinusoid_share.percent()} of the samples look like sinusoids; both families, 10 % of the samples "
            f"or more, in {self.both_families.percent()} of the tasks (exact posterior: "
            f"{100 * self.both_families_exact:.0f} %)"
        )


def evaluate_ambiguity(
    sampler: FunctionSampler, tasks: RegressionTasks, probability: np.ndarray, num_samples: int, noise_stddev: float
) -> Ambiguity:
    """Measure how often a model's samples are of each family; tasks, probability: from `draw_ambiguous`."""
    x = grid()
    samples = sampler.functions(tasks.support_x, tasks.support_y, num_samples)
    exact = exact_posterior(tasks.support_x, tasks.support_y, noise_stddev).sample(x, num_samples, seed=0)
    shares = [looks_sinusoid(functions, x).mean(axis=0) for functions in (samples, exact)]
    both, both_exact = (np.minimum(share, 1 - share) >= _SHARE for share in shares)
    intervals = confidence_interval(shares[0]), confidence_interval(both)
    return Ambiguity(len(tasks), float(probability.mean()), *intervals, float(both_exact.mean()))
