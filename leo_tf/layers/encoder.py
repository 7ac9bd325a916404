"""Stochastic encoder: a support set to one Gaussian over latent codes for each class."""

import keras
import tensorflow as tf

from leo_tf.layers import gaussian
from leo_tf.layers.linear import linear
from leo_tf.layers.relation import RelationNetwork


class StochasticEncoder(keras.layers.Layer):
    """Map a support set to the mean and standard deviation of every class's latent code.

    Args:
      num_latents: dimensions of a latent code.

    References:
      Paper section 2.3.1 and equation 3. Linear and without bias, as in the official code.
    """

    def __init__(self, num_latents, **kwargs):
        super().__init__(**kwargs)
        self.num_latents = num_latents
        self.relation = RelationNetwork(2 * num_latents, name="relation", dtype=self.dtype_policy)

    def build(self, support_shape):
        """Create the kernels for embeddings of shape [tasks, ways, shots, dim]."""
        self.projection = self.add_weight(
            name="projection", shape=(support_shape[-1], self.num_latents), initializer="glorot_uniform"
        )
        self.relation.build((*support_shape[:-1], self.num_latents))

    def call(self, support):
        """Encode a support set.

        Args:
          support: embeddings [tasks, ways, shots, dim]; class n in row n. Dropout is the caller's.

        Returns:
          (mean, stddev), each [tasks, ways, num_latents].
        """
        return gaussian.split_mean_stddev(self.relation(self._project(support)))

    def unequal(self, support, membership):
        """Encode a support set whose classes may differ in size.

        Args:
          support: embeddings [tasks, examples, dim] in any order.
          membership: [tasks, ways, examples], as in `RelationNetwork.unequal`.

        Returns:
          (mean, stddev), each [tasks, ways, num_latents].
        """
        return gaussian.split_mean_stddev(self.relation.unequal(self._project(support), membership))

    def _project(self, support):
        return linear(support, tf.convert_to_tensor(self.projection))
