"""Relation network: compare every class of a support set with all the others."""

from typing import Any

import keras
import tensorflow as tf

PAIRS_AT_ONCE = 2**18  # over all tasks; 134 MB at width 128, and a few such tensors exist at a time


class RelationNetwork(keras.layers.Layer):
    """Apply a three-layer ReLU perceptron to every ordered pair of support codes and average per class.

    The pairs, self-pairs included, are grouped by the class of their first element. No biases, nothing after the last
    layer.

    Computed as written in equation 3, up to the order of linear operations: the first layer acts on each half of a pair
    before the pairs are formed, and the last layer acts on the average.

    Args:
      width: number of outputs; twice the code's dimensions.
      hidden: units of the first two layers; default `width`.
      more: number of further outputs, after the others, with a kernel of their own.

    References:
      Paper equation 3, section 2.3.1.
    """

    def __init__(self, width: int, hidden: int | None = None, more: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.hidden, self.more = width, hidden or width, more

    def build(self, codes_shape: Any) -> None:
        """Create the kernels for codes of shape [tasks, ways, shots, dim]."""
        # Attributes of their own, not a list: tf.train.Checkpoint does not look into a Keras layer's lists.
        self.first = self._kernel("first", 2 * codes_shape[-1], self.hidden)
        self.second = self._kernel("second", self.hidden, self.hidden)
        self.third = self._kernel("third", self.hidden, self.width)
        self.further = self._kernel("further", self.hidden, self.more) if self.more else None

    def _kernel(self, name: str, *shape: int) -> Any:
        return self.add_weight(name=name, shape=shape, initializer="glorot_uniform")

    @property
    def kernels(self) -> list[Any]:
        """The three kernels in order, then that of the further outputs."""
        return [self.first, self.second, self.third, *([self.further] if self.more else [])]

    def call(self, codes: tf.Tensor) -> tf.Tensor:
        """Return one relation code per class: [tasks, ways, shots, dim] -> [tasks, ways, width + more]."""
        tasks, ways, shots, dim = tf.unstack(tf.shape(codes))
        pairs = self._pairs(*self._halves(tf.reshape(codes, [tasks, ways * shots, dim])))
        by_class = tf.reshape(pairs, [tasks, ways, shots * ways * shots, self.hidden])
        return self._last(tf.reduce_mean(by_class, axis=2))

    def imbalanced(self, codes: tf.Tensor, membership: tf.Tensor) -> tf.Tensor:
        """Return one relation code per class for classes of any size, examples in any order.

        Every class has the same weight, among the partners too, as in equation 3, however many examples it has.

        Args:
          codes: [tasks, examples, dim].
          membership: [tasks, ways, examples]; row n holds 1 / size of class n for its examples, 0 for all others.

        Returns:
          [tasks, ways, width + more].
        """
        left, right = self._halves(codes)
        partners = tf.reduce_mean(membership, axis=1)[:, tf.newaxis]

        def mean_over_partners(rows: tf.Tensor) -> tf.Tensor:
            return tf.linalg.matvec(self._pairs(rows, right), partners, transpose_a=True)

        def row_by_row() -> tf.Tensor:
            rows = tf.transpose(left, [1, 0, 2])[:, :, tf.newaxis]
            means = tf.map_fn(mean_over_partners, rows, parallel_iterations=1)
            return tf.transpose(means[:, :, 0], [1, 0, 2])

        tasks, examples = tf.unstack(tf.shape(codes, tf.int64)[:2])
        few = tasks * examples * examples <= PAIRS_AT_ONCE
        by_example = tf.cond(few, lambda: mean_over_partners(left), row_by_row)
        return self._last(tf.matmul(membership, by_example))

    def _halves(self, codes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return what each example adds to the first layer as first and as second of a pair: [tasks, n, hidden]."""
        first = tf.convert_to_tensor(self.first)
        return tf.tensordot(codes, first[: codes.shape[-1]], 1), tf.tensordot(codes, first[codes.shape[-1] :], 1)

    def _last(self, means: tf.Tensor) -> tf.Tensor:
        """Return the last layer of the averages over pairs: [..., hidden] -> [..., width + more]."""
        values = tf.tensordot(means, tf.convert_to_tensor(self.third), 1)
        if not self.more:
            return values
        return tf.concat([values, tf.tensordot(means, tf.convert_to_tensor(self.further), 1)], axis=-1)

    def _pairs(self, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        """Return the second layer of pairs of n and m halves [tasks, n | m, hidden]: [tasks, n, m, hidden]."""
        pairs = tf.nn.relu(left[:, :, tf.newaxis] + right[:, tf.newaxis])
        return tf.nn.relu(tf.tensordot(pairs, tf.convert_to_tensor(self.second), 1))
