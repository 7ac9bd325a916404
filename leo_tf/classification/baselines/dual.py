"""The dual problem of a penalised linear classifier, whose size depends on the examples and not on the dimension.

The minimising weights are sums of support examples (the representer theorem), so that a task of n examples is solved in
their n x n Gram matrix. An unpenalised bias absorbs a shift of all examples, hence the centring.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from leo_tf.classification.metrics import LinearClassifier
from leo_tf.errors import InputError


class DualProblem(NamedTuple):
    """Support sets in float64, with the examples of all classes on one axis."""

    centred: tf.Tensor  # [tasks, examples, dim]
    mean: tf.Tensor  # [tasks, dim]
    gram: tf.Tensor  # [tasks, examples, examples], of the centred examples
    targets: tf.Tensor  # [tasks, ways, examples], 1 where the example is of the class

    def classifier(self, dual: tf.Tensor, bias: tf.Tensor, dtype: tf.DType) -> LinearClassifier:
        """Return weights sum_i dual[tasks, ways, i] (x_i - mean), and the bias of logits [tasks, ways] at the mean."""
        weights = tf.matmul(dual, self.centred)
        bias -= tf.linalg.matvec(weights, self.mean)
        return LinearClassifier(tf.cast(weights, dtype), tf.cast(bias, dtype))


def dual_problem(support_x: tf.Tensor, support_y: tf.Tensor) -> DualProblem:
    """Return the DualProblem of a support.

    Args:
      support_x: [tasks, ways, shots, dim].
      support_y: labels [tasks, ways, shots] int; -1 where there is no example.
    """
    tasks, ways, shots, dim = support_x.shape
    examples = tf.reshape(tf.cast(support_x, tf.float64), [tasks, ways * shots, dim])
    labels = tf.reshape(support_y, [tasks, ways * shots])
    there = tf.cast(labels >= 0, tf.float64)[..., tf.newaxis]
    mean = tf.reduce_sum(there * examples, axis=1) / tf.reduce_sum(there, axis=1)
    centred = there * (examples - mean[:, tf.newaxis])  # an absent example is at the origin, where it changes nothing
    gram = tf.matmul(centred, centred, transpose_b=True)
    return DualProblem(centred, mean, gram, tf.one_hot(labels, ways, axis=1, dtype=tf.float64))


def positive(name: str, value: Any) -> tf.Tensor:
    """Return a hyperparameter as a float64 scalar; raises InputError if it is a number that is not above 0."""
    if not tf.is_tensor(value) and not isinstance(value, tf.Variable) and not value > 0:
        raise InputError(f"Got {name}={value!r}; expected a number above 0.")
    return tf.cast(value, tf.float64)
