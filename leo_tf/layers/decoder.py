"""Stochastic decoder: a class's latent code to a Gaussian over its classifier weights."""

import keras
import tensorflow as tf

from leo_tf.layers import gaussian
from leo_tf.layers.linear import linear


class StochasticDecoder(keras.layers.Layer):
    """Map latent codes to the mean and standard deviation of classifier weights, one linear map shared by all classes.

    Args:
      embedding_dim: dimensions of an embedding, so of a class's weight vector.

    References:
      Paper section 2.3.2 and equation 4.
    """

    def __init__(self, embedding_dim, **kwargs):
        super().__init__(**kwargs)
        self.embedding_dim = embedding_dim

    def build(self, latents_shape):
        """Create the kernel for latents of shape [..., num_latents]."""
        self.kernel = self.add_weight(
            name="kernel", shape=(latents_shape[-1], 2 * self.embedding_dim), initializer="glorot_uniform"
        )

    def call(self, latents, ways):
        """Decode to a distribution over weights.

        Args:
          latents: [..., num_latents].
          ways: classes in the task; the spread starts at that of a Glorot-initialised [ways, dim] classifier.

        Returns:
          (mean, stddev), each [..., embedding_dim].
        """
        return self.mean(latents), self.stddev(latents, ways)

    def mean(self, latents):
        """Return the mean weights alone, linear in the codes: [..., num_latents] -> [..., embedding_dim]."""
        return linear(latents, tf.convert_to_tensor(self.kernel)[:, : self.embedding_dim])

    def project(self, embeddings):
        """Map embeddings so that project(x) . z = x . mean(z): [..., embedding_dim] -> [..., num_latents]."""
        return linear(embeddings, tf.transpose(tf.convert_to_tensor(self.kernel)[:, : self.embedding_dim]))

    def stddev(self, latents, ways):
        """Return the standard deviation of the weights alone; arguments as in `call`."""
        raw = linear(latents, tf.convert_to_tensor(self.kernel)[:, self.embedding_dim :])
        return gaussian.to_stddev(raw, gaussian.glorot_offset(ways, self.embedding_dim))
