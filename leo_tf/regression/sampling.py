"""Functions that a model samples for a task's support points."""

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.regression.tasks import grid


class FunctionSampler:
    """Adapt a model to support points many times over, and evaluate what comes of it.

    Args:
      model: RegressionLearner.
      batch_size: tasks at once; changes speed and memory only.
      jit: whether XLA compiles it.
    """

    def __init__(self, model, batch_size=200, jit=True):
        self._model, self._batch_size = model, batch_size
        self._values = tf.function(self._values_of, jit_compile=jit, reduce_retracing=True)

    def functions(self, support_x, support_y, num_samples, x=None, seed=0, first_task=0):
        """Sample functions given support points.

        A model without noise has one, whatever the number asked for.

        Args:
          support_x, support_y: [tasks, shots, 1].
          num_samples: functions for each task, int; 0 for the deterministic one, through means.
          x: inputs [n]; default `grid()`.
          seed: int; sample s of task t is a function of it, s and t.
          first_task: t of the first of these tasks, int; those after it have the numbers after it.

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
                    bits = self._bits(tf.random.fold_in(pair, sample), tf.constant(first_task + first, tf.int64))
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
            parameters = self._model.sample_with(support_x, support_y, randomness.normal(bits))
        return self._model.predict_at(query_x, parameters)
