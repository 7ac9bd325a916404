"""Stochastic encoder: a support set to one Gaussian over latent codes for each class."""

import keras
import tensorflow as tf

from leo_tf.layers.distributions import gaussian, mixture, shifted_exponential
from leo_tf.layers.perceptron import Perceptron
from leo_tf.layers.relation import RelationNetwork


class StochasticEncoder(keras.layers.Layer):
    """Map a support set to q(z_n | support), a tfp distribution over the latent code of every class.

    Every example is encoded alone, then the relation network compares all of them.

    Args:
      num_latents: dimensions of a latent code.
      hidden: units of the hidden layers of the perceptron on examples; none, the default, is one linear map.
      relation_units: units of the relation network's hidden layers; default twice num_latents.
      use_bias: whether the perceptron has biases.
      to_stddev: function (raw output, initial_stddev) -> standard deviation.
      initial_stddev: the standard deviation at a raw output of 0.
      components: Gaussians; with more than one q is their mixture, whose shares depend on the support too. The raw
        outputs of all but the first are what they differ from the first by, of a kernel of their own: with that at
        0, all are the first, and a trained encoder of one Gaussian is where a mixture can start.

    References:
      Paper section 2.3.1 and equation 3. By default linear and without bias, as in the official code.
    """

    def __init__(
        self,
        num_latents,
        hidden=(),
        relation_units=None,
        use_bias=False,
        to_stddev=shifted_exponential,
        initial_stddev=0.0,
        components=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.examples = Perceptron((*hidden, num_latents), use_bias, name="examples", dtype=policy)
        width, more = 2 * num_latents, components + (components - 1) * 2 * num_latents if components > 1 else 0
        self.relation = RelationNetwork(width, relation_units, more, name="relation", dtype=policy)
        self.num_latents, self._to_stddev, self._initial_stddev = num_latents, to_stddev, initial_stddev
        self.components = components

    def build(self, support_shape):
        """Create the kernels for a support set of shape [tasks, ways, shots, dim]."""
        self.examples.build(support_shape)
        self.relation.build((*support_shape[:-1], self.num_latents))

    @property
    def kernels(self):
        """The kernels in order: of the examples, of the relation network."""
        return [*self.examples.kernels, *self.relation.kernels]

    @property
    def biases(self):
        """The biases in order."""
        return self.examples.biases

    def call(self, support):
        """Encode a support set.

        Args:
          support: [tasks, ways, shots, dim]; class n in row n. Dropout is the caller's.

        Returns:
          Distribution of batch shape [tasks, ways] and event shape [num_latents].
        """
        return self._distribution(self.relation(self.examples(support)))

    def imbalanced(self, support, membership):
        """Encode a support set whose classes may differ in size.

        Args:
          support: [tasks, examples, dim] in any order.
          membership: [tasks, ways, examples], as in `RelationNetwork.unequal`.

        Returns:
          As `call`.
        """
        return self._distribution(self.relation.imbalanced(self.examples(support), membership))

    def _distribution(self, raw):
        if self.components == 1:
            return self._gaussian(raw)
        first, logits, others = tf.split(raw, [2 * self.num_latents, self.components, -1], axis=-1)
        each = [first, *(first + other for other in tf.split(others, self.components - 1, axis=-1))]
        return mixture(logits, self._gaussian(tf.stack(each, axis=-2)))

    def _gaussian(self, raw):
        mean, u = tf.split(raw, 2, axis=-1)
        return gaussian(mean, self._to_stddev(u, self._initial_stddev))
