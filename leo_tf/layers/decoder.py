"""Stochastic decoder: from a latent code to a Gaussian over the parameters of a model."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from leo_tf.layers.distributions import gaussian, shifted_exponential
from leo_tf.layers.perceptron import Perceptron


class StochasticDecoder(keras.layers.Layer):
    """Map latent codes to p(parameters | z), a tfp distribution: a class's weight vector, or a whole network.

    Args:
      outputs: number of parameters that a code is decoded to.
      hidden: units of the hidden layers; by default there are none, and the decoder is one linear map.
      use_bias: whether there are biases.
      to_stddev: function (raw output, initial_stddev) -> standard deviation.

    References:
      Paper section 2.3.2 and equation 4. By default linear and without bias, as in the official code.
    """

    def __init__(
        self,
        outputs: int,
        hidden: Sequence[int] = (),
        use_bias: bool = False,
        to_stddev: Callable = shifted_exponential,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outputs, self.use_bias, self._to_stddev = outputs, use_bias, to_stddev
        self.hidden = Perceptron(hidden, use_bias, name="hidden", dtype=self.dtype_policy) if hidden else None

    def build(self, latents_shape: Any) -> None:
        """Create the kernels for latents of shape [..., num_latents]."""
        rows = latents_shape[-1]
        if self.hidden is not None:
            self.hidden.build(latents_shape)
            rows = self.hidden.widths[-1]
        columns = 2 * self.outputs
        self.kernel = self.add_weight(name="kernel", shape=(rows, columns), initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(columns,), initializer="zeros") if self.use_bias else None

    @property
    def kernels(self) -> list[Any]:
        """The kernels in order; the last, [rows, 2 * outputs], has the columns of the means first."""
        return [*(self.hidden.kernels if self.hidden is not None else []), self.kernel]

    @property
    def biases(self) -> list[Any]:
        """The biases in order."""
        return [*(self.hidden.biases if self.hidden is not None else []), *([self.bias] if self.use_bias else [])]

    def call(self, latents: tf.Tensor, initial_stddev: Any) -> Any:
        """Decode latents [..., num_latents] to a distribution of batch shape [...] and event shape [outputs].

        `initial_stddev`, a number or [outputs], is the standard deviation at a raw output of 0.
        """
        features = self._features(latents)
        raw = self._head(features, slice(self.outputs, None))
        return gaussian(self._head(features, slice(self.outputs)), self._to_stddev(raw, initial_stddev))

    def mean(self, latents: tf.Tensor) -> tf.Tensor:
        """Return the distribution's mean alone: [..., num_latents] -> [..., outputs]."""
        return self._head(self._features(latents), slice(self.outputs))

    def project(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Map embeddings so that project(x) . z = x . mean(z), for a linear decoder: [..., outputs] -> [..., rows]."""
        return tf.tensordot(embeddings, tf.transpose(tf.convert_to_tensor(self.kernel)[:, : self.outputs]), 1)

    def _features(self, latents: tf.Tensor) -> tf.Tensor:
        return latents if self.hidden is None else tf.nn.relu(self.hidden(latents))

    def _head(self, features: tf.Tensor, columns: slice) -> tf.Tensor:
        values = tf.tensordot(features, tf.convert_to_tensor(self.kernel)[:, columns], 1)
        return values + tf.convert_to_tensor(self.bias)[columns] if self.use_bias else values
