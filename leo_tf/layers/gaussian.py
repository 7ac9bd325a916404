"""Diagonal Gaussians as the encoder and the decoder use them: from raw outputs to mean, spread, sample and KL.

Tensors, not distribution objects, cross layer boundaries; the distributions are built where they are used, inside the
gradient tape.
"""

import math

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

_SMALLEST_STDDEV = 1e-10


def to_stddev(raw, offset=0.0):
    """Map a raw output u to a standard deviation: max(exp(u) - 1 + offset, 1e-10).

    Where the floor is active no gradient reaches u.

    Args:
      raw: tensor of any shape.
      offset: the standard deviation at u = 0.

    References:
      The official code; the paper does not give the map.
    """
    return tf.maximum(tf.math.expm1(raw) + offset, _SMALLEST_STDDEV)


def split_mean_stddev(raw, offset=0.0):
    """Split raw outputs [..., 2 * dim] into mean, the first half, and standard deviation: each [..., dim]."""
    mean, u = tf.split(raw, 2, axis=-1)
    return mean, to_stddev(u, offset)


def glorot_offset(fan_in, fan_out):
    """Return the standard deviation of a Glorot-initialised [fan_in, fan_out] matrix, the weights' initial spread."""
    return math.sqrt(2.0 / (fan_in + fan_out))


def distribution(mean, stddev):
    """Return the Gaussian over the last axis as a tfp distribution; event shape [dim]."""
    return tfd.Independent(tfd.Normal(mean, stddev), reinterpreted_batch_ndims=1)


def sample(mean, stddev, noise):
    """Return the reparametrised sample mean + stddev * noise, for standard normal noise of a shape that broadcasts."""
    return mean + stddev * noise


def sampled_kl(mean, stddev, noise):
    """Estimate KL(q || N(0, 1)) element by element from one sample: log q(z) - log p(z) at z = mean + stddev * noise.

    log q(z) is taken from the noise by the change of variables. Recovering the noise as (z - mean) / stddev would, at
    stddev 1e-10 in float32, return rounding errors and a gradient of differences of terms of size 1e10.

    Returns:
      Tensor of the broadcast shape, in nats. Its mean is the paper's KL divided by the number of elements.
    """
    standard = tfd.Normal(tf.zeros([], noise.dtype), tf.ones([], noise.dtype))
    log_posterior = standard.log_prob(noise) - tf.math.log(stddev)
    return log_posterior - standard.log_prob(sample(mean, stddev, noise))
