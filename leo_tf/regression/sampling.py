"""Functions that a model samples given a task's support points."""

from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.regression.learner import RegressionLearner
from leo_tf.regression.tasks import POINTS, grid


class FunctionSampler:
    """Sampler of functions from a model: it adapts repeatedly with other noise and evaluates the adapted networks.

    batch_size: tasks at once; changes speed and memory only. jit: compile with XLA.
    """

    def __init__(self, model: RegressionLearner, batch_size: int = 200, jit: bool = True) -> None:
        self._model, self._batch_size = model, batch_size
        self._values = tf.function(self._values_of, jit_compile=jit, reduce_retracing=True)

    def functions(
        self, support_x: Any, support_y: Any, num_samples: int, seed: int = 0, first_task: int = 0
    ) -> np.ndarray:
        """Sample functions on the grid, float32 [samples, tasks, 100]; a deterministic model always gives one.

        The support points are [tasks, shots, 1]. Sample s of task t, of which these are numbered from `first_task` on,
        is a function of the seed, s and t.
        """
        tasks, stochastic = len(support_x), bool(self._model.normals_per_task)
        query = tf.constant(np.broadcast_to(grid().astype(np.float32)[:, np.newaxis], [self._batch_size, POINTS, 1]))
        found = np.empty([num_samples if stochastic else 1, tasks, POINTS], np.float32)
        pair = randomness.stream_seed(seed, randomness.SAMPLES)
        for first in range(0, tasks, self._batch_size):
            # The last batch is padded with its last task, so that one graph serves all.
            indices = np.minimum(np.arange(self._batch_size) + first, tasks - 1)
            support = [tf.constant(np.asarray(values, np.float32)[indices]) for values in (support_x, support_y)]
            for sample in range(len(found)):
                bits = None
                if stochastic:
                    bits = self._bits(tf.random.fold_in(pair, sample), tf.constant(first_task + first, tf.int64))
                found[sample, first : first + self._batch_size] = self._values(*support, query, bits).numpy()[
                    : tasks - first, :, 0
                ]
        return found

    @tf.function
    def _bits(self, pair: tf.Tensor, first_task: tf.Tensor) -> tf.Tensor:
        return randomness.bits(pair, first_task, self._batch_size, self._model.normals_per_task, tf.uint16)

    def _values_of(
        self, support_x: tf.Tensor, support_y: tf.Tensor, query_x: tf.Tensor, bits: tf.Tensor | None
    ) -> tf.Tensor:
        if bits is None:
            parameters = self._model.adapt_in_evaluation(support_x, support_y)
        else:
            parameters = self._model.sample_with(support_x, support_y, randomness.normal(bits))
        return self._model.predict_at(query_x, parameters)
