"""Functions that a model samples given a task's support points."""

from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.regression.learner import RegressionLearner
from leo_tf.regression.tasks import grid


class FunctionSampler:
    """Sampler of functions from a model: it adapts repeatedly with other noise and evaluates the adapted networks.

    batch_size: tasks at once; changes speed and memory only. jit: compile with XLA.
    """

    def __init__(self, model: RegressionLearner, batch_size: int = 200, jit: bool = True) -> None:
        self._model, self._batch_size = model, batch_size
        self._values = tf.function(self._values_of, jit_compile=jit, reduce_retracing=True)

    def functions(
        self, support_x: Any, support_y: Any, num_samples: int, x: Any = None, seed: int = 0, first_task: int = 0
    ) -> np.ndarray:
        """Sample functions given support points, float32 [samples, tasks, n]; a deterministic model always gives one.

        Args:
          support_x, support_y: [tasks, shots, 1].
          num_samples: functions per task; 0 for a single one through means, without noise.
          x: inputs [n]; default `grid()`.
          seed: int; sample s of task t is a function of it, s and t.
          first_task: t of the first of these tasks; the others are numbered consecutively.
        """
        x = grid() if x is None else x
        tasks, stochastic = len(support_x), bool(self._model.normals_per_task)
        query = tf.constant(np.broadcast_to(np.asarray(x, np.float32)[:, np.newaxis], [self._batch_size, len(x), 1]))
        found = np.empty([num_samples if stochastic and num_samples else 1, tasks, len(x)], np.float32)
        pair = randomness.stream_seed(seed, randomness.SAMPLES)
        for first in range(0, tasks, self._batch_size):
            # The last batch is padded with its last task, so that one graph serves all.
            indices = np.minimum(np.arange(self._batch_size) + first, tasks - 1)
            support = [tf.constant(np.asarray(values, np.float32)[indices]) for values in (support_x, support_y)]
            for sample in range(len(found)):
                bits = None
                if stochastic and num_samples:
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
        support_x, support_y = (tf.cast(values, self._model.compute_dtype) for values in (support_x, support_y))
        if bits is None:
            parameters = self._model.adapt_in_evaluation(support_x, support_y)
        else:
            parameters = self._model.sample_with(support_x, support_y, randomness.normal(bits, support_x.dtype))
        return self._model.predict_at(query_x, parameters)
