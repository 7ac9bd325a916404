"""Relation network: how each class of a support set stands to all the others."""

import keras
import tensorflow as tf

from leo_tf.layers.linear import linear

PAIRS_AT_ONCE = 2**18  # of all tasks; 134 MB at width 128, of which a few are held


class RelationNetwork(keras.layers.Layer):
    """Apply a three-layer ReLU perceptron to every ordered pair of support codes and average per class.

    The pairs, self-pairs included, are grouped by the class of their first element. No biases, nothing after the last
    layer.

    Computed as written in equation 3, up to the order of linear operations: the first layer acts on each half of a pair
    before the pairs are formed, and the last layer acts on the average.

    Args:
      width: outputs; twice the code's dimensions.
      hidden: units of the first two layers; default `width`.
      more: further outputs, after the others, of a kernel of their own.

    References:
      Paper equation 3, section 2.3.1.
    """

    def __init__(self, width, hidden=None, more=0, **kwargs):
        super().__init__(**kwargs)
        self.width, self.hidden, self.more = width, hidden or width, more

    def build(self, codes_shape):
        """Create the kernels for codes of shape [tasks, ways, shots, dim]."""
        # Attributes of their own, not a list: tf.train.Checkpoint does not look into a Keras layer's lists.
        self.first = self._kernel("first", 2 * codes_shape[-1], self.hidden)
        self.second = self._kernel("second", self.hidden, self.hidden)
        self.third = self._kernel("third", self.hidden, self.width)
        self.further = self._kernel("further", self.hidden, self.more) if self.more else None

    def _kernel(self, name, *shape):
        return self.add_weight(name=name, shape=shape, initializer="glorot_uniform")

    @property
    def kernels(self):
        """The three kernels in order, and that of further outputs."""
        return [self.first, self.second, self.third, *([self.further] if self.more else [])]

    def call(self, codes):
        """Return one relation code a class.

        Args:
          codes: [tasks, ways, shots, dim].

        Returns:
          [tasks, ways, width + more].
        """
        tasks, ways, shots, dim = tf.unstack(tf.shape(codes))
        pairs = self._pairs(*self._halves(tf.reshape(codes, [tasks, ways * shots, dim])))
        by_class = tf.reshape(pairs, [tasks, ways, shots * ways * shots, self.hidden])
        return self._last(tf.reduce_mean(by_class, axis=2))

    def imbalanced(self, codes, membership):
        """Return one relation code a class for classes of any size, examples in any order.

        Every class counts alike, among the partners too, as in equation 3, however many examples it has.

        Args:
          codes: [tasks, examples, dim].
          membership: [tasks, ways, examples]; row n averages over class n: 1 / its size for its examples, else 0.

        Returns:
          [tasks, ways, width + more].
        """
        left, right = self._halves(codes)
        partners = tf.reduce_mean(membership, axis=1)[:, tf.newaxis]

        def mean_over_partners(rows):
            return tf.linalg.matvec(self._pairs(rows, right), partners, transpose_a=True)

        def row_by_row():
            rows = tf.transpose(left, [1, 0, 2])[:, :, tf.newaxis]
            means = tf.map_fn(mean_over_partners, rows, parallel_iterations=1)
            return tf.transpose(means[:, :, 0], [1, 0, 2])

        tasks, examples = tf.unstack(tf.shape(codes, tf.int64)[:2])
        few = tasks * examples * examples <= PAIRS_AT_ONCE
        by_example = tf.cond(few, lambda: mean_over_partners(left), row_by_row)
        return self._last(tf.matmul(membership, by_example))

    def _halves(self, codes):
        """Return what each example adds to the first layer as a pair's first and as its second: [tasks, n, hidden]."""
        first = tf.convert_to_tensor(self.first)
        return linear(codes, first[: codes.shape[-1]]), linear(codes, first[codes.shape[-1] :])

    def _last(self, means):
        """Return the last layer of the averages over pairs: [..., hidden] -> [..., width + more]."""
        values = linear(means, tf.convert_to_tensor(self.third))
        return tf.concat([values, linear(means, tf.convert_to_tensor(self.further))], axis=-1) if self.more else values

    def _pairs(self, left, right):
        """Return the second layer of pairs of n and m halves [tasks, n | m, hidden]: [tasks, n, m, hidden]."""
        pairs = tf.nn.relu(left[:, :, tf.newaxis] + right[:, tf.newaxis])
        return tf.nn.relu(linear(pairs, tf.convert_to_tensor(self.second)))
