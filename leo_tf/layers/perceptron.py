"""A perceptron over the last axis: linear maps with ReLU between them."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class Perceptron(keras.layers.Layer):
    """Apply linear maps with ReLU between them, none after the last.

    Args:
      widths: numbers of outputs of the layers, in order.
      use_bias: add a learned vector after every map.
    """

    def __init__(self, widths: Sequence[int], use_bias: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widths, self.use_bias = tuple(widths), use_bias

    def build(self, inputs_shape: Any) -> None:
        """Create the kernels and biases for inputs of shape [..., dim]."""
        for index, shape in enumerate(itertools.pairwise((inputs_shape[-1], *self.widths))):
            # Attributes of their own, not a list: tf.train.Checkpoint does not look into a Keras layer's lists.
            setattr(self, f"kernel_{index}", self.add_weight(name=f"kernel_{index}", shape=shape))
            if self.use_bias:
                bias = self.add_weight(name=f"bias_{index}", shape=shape[1:], initializer="zeros")
                setattr(self, f"bias_{index}", bias)

    @property
    def kernels(self) -> list[Any]:
        """The kernels in order."""
        return [getattr(self, f"kernel_{index}") for index in range(len(self.widths))]

    @property
    def biases(self) -> list[Any]:
        """The biases in order; none without use_bias."""
        return [getattr(self, f"bias_{index}") for index in range(len(self.widths)) if self.use_bias]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Map [..., dim] to [..., widths[-1]]."""
        for index, kernel in enumerate(self.kernels):
            inputs = tf.tensordot(tf.nn.relu(inputs) if index else inputs, tf.convert_to_tensor(kernel), 1)
            if self.use_bias:
                inputs += self.biases[index]
        return inputs
