"""Few-shot regression tasks: sinusoids and lines with noisy targets, a pure function of seed and task index."""

import math
from typing import Any, NamedTuple

import tensorflow as tf

from leo_tf import randomness
from leo_tf.errors import InputError

AMPLITUDE, PHASE = (0.1, 5.0), (0.0, math.pi)
SLOPE = INTERCEPT = (-3.0, 3.0)
INPUT = (-5.0, 5.0)


class Functions(NamedTuple):
    """A batch of true functions: amplitude * sin(x - phase), or slope * x + intercept.

    References:
      Paper section 4.1; the sign of the phase is MAML's, which the paper does not give.
    """

    is_sinusoid: tf.Tensor  # [tasks] bool
    coefficients: tf.Tensor  # [tasks, 2]: amplitude and phase, or slope and intercept

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Return the values without noise at x [tasks, n, 1]: [tasks, n, 1]."""
        first, second = (column[:, tf.newaxis, tf.newaxis] for column in tf.unstack(self.coefficients, axis=1))
        return tf.where(self.is_sinusoid[:, tf.newaxis, tf.newaxis], first * tf.sin(x - second), first * x + second)


class RegressionEpisode(NamedTuple):
    """A batch of tasks with noisy targets."""

    support_x: tf.Tensor  # [tasks, shots, 1]
    support_y: tf.Tensor  # [tasks, shots, 1]
    query_x: tf.Tensor  # [tasks, queries, 1]
    query_y: tf.Tensor  # [tasks, queries, 1]


class RegressionSampler:
    """Sampler of sinusoids and lines, half and half, with noisy points on them.

    Coefficients and inputs are uniform in their ranges (this module's constants); the noise is normal.

    Args:
      shots, queries: support and query points per task.
      noise_stddev: standard deviation of the noise on all targets.

    References:
      Paper section 4.1, with the ranges of Finn et al., "Probabilistic Model-Agnostic Meta-Learning", 2018.
    """

    def __init__(self, shots: int = 5, queries: int = 15, noise_stddev: float = 0.3) -> None:
        if min(shots, queries) < 1 or not 0.0 <= noise_stddev < math.inf:
            raise InputError(
                f"Got shots={shots}, queries={queries}, noise_stddev={noise_stddev}; expected at least one point of "
                "each and a finite standard deviation of at least 0.",
                "noise_stddev",
            )
        self.shots, self.queries, self.noise_stddev = shots, queries, noise_stddev

    def functions(self, seed: Any, first_task: Any, num_tasks: int) -> Functions:
        """Draw the true functions of consecutive tasks; arguments as for `EpisodeSampler.rows`."""
        return self._functions(self._uniform(seed, first_task, num_tasks))

    def sample(self, seed: Any, first_task: Any, num_tasks: int) -> RegressionEpisode:
        """Sample consecutive tasks: noisy points of `functions` with the same arguments."""
        seed = randomness.stream_seed(seed, randomness.EPISODES)
        uniform = self._uniform(seed, first_task, num_tasks)
        x = _between(INPUT, uniform[:, 3:, tf.newaxis])
        bits = randomness.bits(seed, first_task, num_tasks, self.shots + self.queries, tf.uint16)
        y = self._functions(uniform)(x) + self.noise_stddev * randomness.normal(bits)[..., tf.newaxis]
        sizes = [self.shots, self.queries]
        (support_x, query_x), (support_y, query_y) = (tf.split(values, sizes, axis=1) for values in (x, y))
        return RegressionEpisode(support_x, support_y, query_x, query_y)

    def _uniform(self, seed: Any, first_task: Any, num_tasks: int) -> tf.Tensor:
        seed = randomness.stream_seed(seed, randomness.EPISODES)
        count = 3 + self.shots + self.queries  # family, two coefficients, inputs
        return randomness.uniform(randomness.integers(seed, first_task, num_tasks, count))

    @staticmethod
    def _functions(uniform: tf.Tensor) -> Functions:
        is_sinusoid = uniform[:, 0] < 0.5
        sinusoid = tf.stack([_between(AMPLITUDE, uniform[:, 1]), _between(PHASE, uniform[:, 2])], axis=1)
        line = tf.stack([_between(SLOPE, uniform[:, 1]), _between(INTERCEPT, uniform[:, 2])], axis=1)
        return Functions(is_sinusoid, tf.where(is_sinusoid[:, tf.newaxis], sinusoid, line))


def _between(limits: tuple[float, float], uniform: tf.Tensor) -> tf.Tensor:
    low, high = limits
    return low + (high - low) * uniform
