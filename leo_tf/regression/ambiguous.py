"""Tasks whose points do not tell the family: made by crowding the inputs, chosen by the exact posterior."""

import math

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.errors import InputError
from leo_tf.regression.episodes import INPUT, RegressionSampler
from leo_tf.regression.tasks import FixedTasks, grid
from leo_tf.regression.yardsticks.posterior import exact_posterior

PROBABILITY = (0.4, 0.6)  # of a sinusoid, given the points
WINDOW = 3.5  # width of the interval that holds a task's inputs
_DRAWN_AT_ONCE = 2000
_MOST_DRAWN = 20_000  # at noise 0.3 and 5 shots 145 of 4,000 serve
_LITTLE_NOISE = 0.05  # below it fewer are drawn in proportion, as a posterior's time, 3 ms here, goes as 1 / noise


def draw_ambiguous(num_tasks, seed=0, stream=randomness.TEST, noise_stddev=0.3, shots=5):
    """Draw tasks that leave both families about equally probable.

    Functions and noise are those of `RegressionSampler`; the inputs are uniform in a window of width 3.5 somewhere in
    the range. Of these tasks the first ones are taken whose exact posterior gives either family 40 to 60 %.

    Args:
      num_tasks: number of tasks.
      seed, stream: as in `draw_tasks`.
      noise_stddev: of the targets, above 0.
      shots: points of a task.

    Returns:
      (FixedTasks of `shots` points, the probabilities of a sinusoid [tasks]).

    Raises:
      InputError: such tasks are too rare, as with very little noise.
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
            joined = FixedTasks(*(np.concatenate(fields)[:num_tasks] for fields in zip(*parts, strict=True)))
            return joined, np.concatenate(probabilities)[:num_tasks]
    raise InputError(
        f"Among {most} tasks of {shots} points with noise of {noise_stddev} only {found} are ambiguous; "
        f"expected {num_tasks}. Ask for fewer, or take fewer points or more noise."
    )


def _crowded(sampler, pair, first_task, num_tasks):
    episode = sampler.sample(pair, first_task, num_tasks)
    functions = sampler.functions(pair, first_task, num_tasks)
    whole = INPUT[1] - INPUT[0]
    x = episode.support_x * (WINDOW / whole) + episode.query_x * ((whole - WINDOW) / whole)  # the range is about 0
    y = functions(x) + episode.support_y - functions(episode.support_x)
    truth = functions(tf.constant(grid()[np.newaxis, :, np.newaxis], tf.float32))[..., 0]
    return FixedTasks(x.numpy(), y.numpy(), truth.numpy(), functions.is_sinusoid.numpy())
