"""The evaluation protocol of regression: fixed, seeded tasks, functions sampled for them, their errors and spread."""

import hashlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.errors import InputError
from leo_tf.regression.scores import coverage, crps, squared_error
from leo_tf.regression.tasks import INPUT, RegressionSampler

MOST_SHOTS = 20
LEVELS = (0.5, 0.8, 0.9, 0.95)
POINTS = 100


def grid():
    """Return the inputs at which functions are compared: midpoints of 100 equal parts of the range, [100] float64."""
    return INPUT[0] + (INPUT[1] - INPUT[0]) * (np.arange(POINTS) + 0.5) / POINTS


class FixedTasks(NamedTuple):
    """Fixed tasks. The first k support points are those of the k-shot task, so that shots differ in nothing else."""

    support_x: np.ndarray  # [tasks, 20, 1] float32
    support_y: np.ndarray  # [tasks, 20, 1] float32, with noise
    truth: np.ndarray  # [tasks, 100], the function on the grid, without noise
    is_sinusoid: np.ndarray  # [tasks] bool

    @property
    def digest(self):
        """SHA-256 in hex of the support points; equal for equal tasks."""
        digest = hashlib.sha256()
        for values in (self.support_x, self.support_y):
            digest.update(np.ascontiguousarray(values, "<f4").data)
        return digest.hexdigest()

    def support(self, shots) -> tuple[np.ndarray, np.ndarray]:
        """Return the k-shot support, (x, y), each [tasks, shots, 1]."""
        return self.support_x[:, :shots], self.support_y[:, :shots]

    def take(self, indices):
        """Return the tasks at `indices`, a slice or an array."""
        return FixedTasks(*(values[indices] for values in self))


def draw_tasks(num_tasks, seed=0, stream=randomness.TEST, noise_stddev=0.3):
    """Draw tasks from a seed.

    Args:
      num_tasks: number of tasks, at least 2. Fewer are the first of more.
      seed: int.
      stream: one of `randomness`' streams.
      noise_stddev: of the support's targets.

    Returns:
      FixedTasks.

    Raises:
      InputError: fewer than 2 tasks.
    """
    if num_tasks < 2:
        raise InputError(f"Got {num_tasks} tasks; expected at least 2, without which there is no interval.")
    sampler, pair = RegressionSampler(MOST_SHOTS, 1, noise_stddev), randomness.stream_seed(seed, stream)
    episode, functions = sampler.sample(pair, 0, num_tasks), sampler.functions(pair, 0, num_tasks)
    truth = functions(tf.constant(grid()[np.newaxis, :, np.newaxis], tf.float32))
    arrays = episode.support_x, episode.support_y, truth[..., 0], functions.is_sinusoid
    return FixedTasks(*(values.numpy() for values in arrays))


class FunctionSampler:
    """Adapt a model to support points many times over, and evaluate what comes of it.

    Args:
      model: RegressionLearner.
      batch_size: tasks at once; changes speed and memory only.
    """

    def __init__(self, model, batch_size=200):
        self._model, self._batch_size = model, batch_size
        self._values = tf.function(self._values_of, jit_compile=True, reduce_retracing=True)

    def functions(self, support_x, support_y, num_samples, x=None, seed=0):
        """Sample functions given support points.

        A model without noise has one, whatever the number asked for.

        Args:
          support_x, support_y: [tasks, shots, 1].
          num_samples: functions for each task, int; 0 for the deterministic one, through means.
          x: inputs [n]; default `grid()`.
          seed: int; sample s of task t is a function of it, s and t.

        Returns:
          float32 [samples, tasks, n].
        """
        x = grid() if x is None else x
        tasks, stochastic = len(support_x), bool(self._model.normals_per_task)
        query = tf.constant(np.broadcast_to(np.asarray(x, np.float32)[:, np.newaxis], [self._batch_size, len(x), 1]))
        found = np.empty([num_samples if stochastic and num_samples else 1, tasks, len(x)], np.float32)
        pair = randomness.stream_seed(seed, randomness.SAMPLES)
        for first in range(0, tasks, self._batch_size):
            # The last batch is filled up with its last task, so that one graph serves all.
            chosen = np.minimum(np.arange(self._batch_size) + first, tasks - 1)
            support = [tf.constant(np.asarray(values, np.float32)[chosen]) for values in (support_x, support_y)]
            for sample in range(len(found)):
                bits = None
                if stochastic and num_samples:
                    bits = self._bits(tf.random.fold_in(pair, sample), tf.constant(first, tf.int64))
                found[sample, first : first + self._batch_size] = self._values(*support, query, bits).numpy()[
                    : tasks - first, :, 0
                ]
        return found

    @tf.function
    def _bits(self, pair, first_task):
        return randomness.bits(pair, first_task, self._batch_size, self._model.normals_per_task, tf.uint16)

    def _values_of(self, support_x, support_y, query_x, bits):
        if bits is None:
            parameters = self._model.adapt_in_evaluation(support_x, support_y)
        else:
            parameters, _, _ = self._model.adapt_in_training(support_x, support_y, randomness.normal(bits))
        return self._model.predict_at(query_x, parameters)


class FunctionScores(NamedTuple):
    """Scores of sampled functions, task by task; errors are against the function without noise."""

    squared_error: np.ndarray  # [tasks], of the mean of the samples
    single_squared_error: np.ndarray  # [tasks], of one sample, on average
    crps: np.ndarray  # [tasks]
    coverage: np.ndarray  # [levels, tasks], fractions of the grid inside the central intervals of LEVELS


def score(samples, truth):
    """Score sampled functions [samples, tasks, n] against the true ones [tasks, n]; return FunctionScores."""
    single = np.mean((samples - truth) ** 2, axis=(0, 2))
    covered = np.full([len(LEVELS), len(truth)], np.nan)  # one function has no interval
    if len(samples) > 1:
        covered = coverage(samples, truth, LEVELS)
    return FunctionScores(squared_error(samples, truth), single, crps(samples, truth), covered)
