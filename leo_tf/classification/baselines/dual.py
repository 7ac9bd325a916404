"""The span of a support set: what a penalised linear classifier can be made of, whatever the dimension.

The weights that minimise a loss of the logits plus a penalty on their norm are sums of support examples (the
representer theorem), so that a task of n examples is solved in their n x n Gram matrix. An unpenalised bias takes up a
shift of all examples, hence the centring.
"""

from typing import NamedTuple

import tensorflow as tf

from leo_tf.classification.metrics import LinearClassifier
from leo_tf.errors import InputError


class Span(NamedTuple):
    """Support sets in float64, the examples of all classes in one axis."""

    centred: tf.Tensor  # [tasks, examples, dim]
    mean: tf.Tensor  # [tasks, dim]
    gram: tf.Tensor  # [tasks, examples, examples], of the centred examples
    targets: tf.Tensor  # [tasks, ways, examples], 1 where the example is of the class

    def classifier(self, dual, bias, dtype):
        """Return the LinearClassifier of weights sum_i dual[i] (x_i - mean), with a bias where the mean is the origin.

        Args:
          dual: [tasks, ways, examples].
          bias: [tasks, ways].
          dtype: of the classifier.
        """
        weights = tf.matmul(dual, self.centred)
        bias -= tf.linalg.matvec(weights, self.mean)
        return LinearClassifier(tf.cast(weights, dtype), tf.cast(bias, dtype))


def span_of(support_x, support_y):
    """Return the Span of support_x [tasks, ways, shots, dim] and support_y [tasks, ways, shots] int; static shapes."""
    tasks, ways, shots, dim = support_x.shape
    examples = tf.reshape(tf.cast(support_x, tf.float64), [tasks, ways * shots, dim])
    labels = tf.reshape(support_y, [tasks, ways * shots])
    mean = tf.reduce_mean(examples, axis=1)
    centred = examples - mean[:, tf.newaxis]
    gram = tf.matmul(centred, centred, transpose_b=True)
    return Span(centred, mean, gram, tf.one_hot(labels, ways, axis=1, dtype=tf.float64))


def positive(name, value):
    """Return a penalty's weight as a float64 scalar; tensors are taken as they are.

    Raises:
      InputError: a number that is not above 0.
    """
    if not tf.is_tensor(value) and not isinstance(value, tf.Variable) and not value > 0:
        raise InputError(f"Got {name}={value!r}; expected a number above 0.")
    return tf.cast(value, tf.float64)
