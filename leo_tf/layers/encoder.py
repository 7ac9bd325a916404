"""Stochastic encoder: from a support set to one Gaussian over latent codes per class."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from leo_tf.layers.distributions import gaussian, mixture, shifted_exponential
from leo_tf.layers.perceptron import Perceptron
from leo_tf.layers.relation import RelationNetwork


class StochasticEncoder(keras.layers.Layer):
    """Map a support set to q(z_n | support), a tfp distribution over the latent code of every class.

    Every example is encoded alone, then the relation network compares all pairs of them.

    Args:
      num_latents: dimensions of a latent code.
      hidden: units of the hidden layers that examples go through; by default there are none, only one linear map.
      relation_units: units of the relation network's hidden layers; default twice num_latents.
      use_bias: whether these layers have biases.
      to_stddev: function (raw output, initial_stddev) -> standard deviation.
      initial_stddev: the standard deviation at a raw output of 0.
      components: number of Gaussians; with more than one, q is their mixture, with shares that depend on the support
        too. The raw outputs of all but the first are differences from the first, with a kernel of their own: while
        that is 0 all components are equal, so that a mixture can start from a trained encoder of one Gaussian.

    References:
      Paper section 2.3.1 and equation 3. By default linear and without bias, as in the official code.
    """

    def __init__(
        self,
        num_latents: int,
        hidden: Sequence[int] = (),
        relation_units: int | None = None,
        use_bias: bool = False,
        to_stddev: Callable = shifted_exponential,
        initial_stddev: float = 0.0,
        components: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.use_bias = use_bias
        self.hidden = Perceptron(hidden, use_bias, name="hidden", dtype=policy) if hidden else None
        width, more = 2 * num_latents, components + (components - 1) * 2 * num_latents if components > 1 else 0
        self.relation = RelationNetwork(width, relation_units, more, name="relation", dtype=policy)
        self.num_latents, self._to_stddev, self._initial_stddev = num_latents, to_stddev, initial_stddev
        self.components = components

    def build(self, support_shape: Any) -> None:
        """Create the kernels for a support set of shape [tasks, ways, shots, dim]."""
        rows = support_shape[-1]
        if self.hidden is not None:
            self.hidden.build(support_shape)
            rows = self.hidden.widths[-1]
        shape = (rows, self.num_latents)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=shape[1:], initializer="zeros") if self.use_bias else None
        self.relation.build((*support_shape[:-1], self.num_latents))

    @property
    def kernels(self) -> list[Any]:
        """The kernels in order: those that examples go through, then the relation network's."""
        hidden = self.hidden.kernels if self.hidden is not None else []
        return [*hidden, self.kernel, *self.relation.kernels]

    @property
    def biases(self) -> list[Any]:
        """The biases in order."""
        return [*(self.hidden.biases if self.hidden is not None else []), *([self.bias] if self.use_bias else [])]

    def call(self, support: tf.Tensor) -> Any:
        """Encode a support set [tasks, ways, shots, dim], class n in row n, to which the caller has applied dropout.

        The distribution has batch shape [tasks, ways] and event shape [num_latents].
        """
        return self._distribution(self.relation(self._encode(support)))

    def imbalanced(self, support: tf.Tensor, membership: tf.Tensor) -> Any:
        """Encode a support set [tasks, examples, dim] of classes of any size; see `RelationNetwork.imbalanced`."""
        return self._distribution(self.relation.imbalanced(self._encode(support), membership))

    def _encode(self, support: tf.Tensor) -> tf.Tensor:
        features = support if self.hidden is None else tf.nn.relu(self.hidden(support))
        codes = tf.tensordot(features, tf.convert_to_tensor(self.kernel), 1)
        return codes + tf.convert_to_tensor(self.bias) if self.use_bias else codes

    def _distribution(self, raw: tf.Tensor) -> Any:
        if self.components == 1:
            return self._gaussian(raw)
        first, logits, others = tf.split(raw, [2 * self.num_latents, self.components, -1], axis=-1)
        each = [first, *(first + other for other in tf.split(others, self.components - 1, axis=-1))]
        return mixture(logits, self._gaussian(tf.stack(each, axis=-2)))

    def _gaussian(self, raw: tf.Tensor) -> Any:
        mean, u = tf.split(raw, 2, axis=-1)
        return gaussian(mean, self._to_stddev(u, self._initial_stddev))
