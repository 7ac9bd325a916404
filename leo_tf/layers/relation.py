"""Relation network: how each class of a support set stands to all the others."""

import keras
import tensorflow as tf

from leo_tf.layers.linear import linear


class RelationNetwork(keras.layers.Layer):
    """Apply a three-layer ReLU perceptron to every ordered pair of support codes and average per class.

    The pairs, self-pairs included, are grouped by the class of their first element. No biases, nothing after the last
    layer.

    Computed as written in equation 3, up to the order of linear operations: the first layer acts on each half of a pair
    before the pairs are formed, and the last layer acts on the average.

    Args:
      width: units of every layer; twice the code's dimensions.

    References:
      Paper equation 3, section 2.3.1.
    """

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def build(self, codes_shape):
        """Create the three kernels for codes of shape [tasks, ways, shots, dim]."""
        # Attributes of their own, not a list: tf.train.Checkpoint does not look into a Keras layer's lists.
        self.first = self._kernel("first", 2 * codes_shape[-1])
        self.second = self._kernel("second", self.width)
        self.third = self._kernel("third", self.width)

    def _kernel(self, name, rows):
        return self.add_weight(name=name, shape=(rows, self.width), initializer="glorot_uniform")

    @property
    def kernels(self):
        """The three kernels in order."""
        return [self.first, self.second, self.third]

    def call(self, codes):
        """Return one relation code a class.

        Args:
          codes: [tasks, ways, shots, dim].

        Returns:
          [tasks, ways, width].
        """
        tasks, ways, shots, dim = tf.unstack(tf.shape(codes))
        pairs = self._pairs(tf.reshape(codes, [tasks, ways * shots, dim]))
        by_class = tf.reshape(pairs, [tasks, ways, shots * ways * shots, self.width])
        return linear(tf.reduce_mean(by_class, axis=2), tf.convert_to_tensor(self.third))

    def unequal(self, codes, membership):
        """Return one relation code a class for classes of any size, examples in any order.

        Args:
          codes: [tasks, examples, dim].
          membership: [tasks, ways, examples]; row n averages over class n: 1 / its size for its examples, else 0.

        Returns:
          [tasks, ways, width].
        """
        by_example = tf.reduce_mean(self._pairs(codes), axis=2)
        return linear(tf.matmul(membership, by_example), tf.convert_to_tensor(self.third))

    def _pairs(self, codes):
        """Return the second layer's output for every ordered pair: [tasks, examples, examples, width]."""
        first, second = tf.convert_to_tensor(self.first), tf.convert_to_tensor(self.second)
        left, right = linear(codes, first[: codes.shape[-1]]), linear(codes, first[codes.shape[-1] :])
        pairs = tf.nn.relu(left[:, :, tf.newaxis] + right[:, tf.newaxis])
        return tf.nn.relu(linear(pairs, second))
