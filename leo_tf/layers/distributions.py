"""Diagonal Gaussians as tensorflow_probability distributions, which encoder and decoder return.

The noise of training is drawn ahead, so a sample is the distribution's own location and scale at that noise, and its
log probability follows from the noise by the change of variables. Recovering the noise as (z - mean) / stddev would, at
stddev 1e-10 in float32, return rounding errors and a gradient of differences of terms of size 1e10.
`distribution.bijector` gives the same numbers, but its cache would keep the graph of every traced step for ever.

Build distributions inside the gradient tape: made before it, they carry no gradient to their parameters.
"""

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

_SMALLEST_STDDEV = 1e-10
_LARGEST_LOG_FACTOR = math.log(10.0)


def gaussian(mean: tf.Tensor, stddev: tf.Tensor) -> Any:
    """Return the Gaussian over the last axis with independent dimensions: event shape [dim]."""
    return tfd.MultivariateNormalDiag(mean, stddev)


def mixture(logits: tf.Tensor, components: Any) -> Any:
    """Return the mixture of Gaussians, batch shape [..., components], with shares softmax(logits [..., components])."""
    return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), components)


def sample_at(distribution: Any, noise: tf.Tensor) -> tf.Tensor:
    """Return the reparametrised sample mean + stddev * noise of a `gaussian` at standard normal noise, [..., dim]."""
    return distribution.scale.matvec(noise) + distribution.loc


def log_prob_at(distribution: Any, noise: tf.Tensor) -> tf.Tensor:
    """Return log q(z) at z = sample_at(distribution, noise), in nats, [...]; exact for any stddev."""
    return distribution.distribution.log_prob(noise) - distribution.scale.log_abs_determinant()


def sampled_kl(posterior: Any, noise: tf.Tensor) -> tf.Tensor:
    """Estimate KL(q || N(0, I)), in nats, from one sample: log q(z) - log p(z) at z = sample_at(posterior, noise)."""
    standard_normal = posterior.distribution  # that which scale and location are applied to
    return log_prob_at(posterior, noise) - standard_normal.log_prob(sample_at(posterior, noise))


def analytic_kl(posterior: Any) -> tf.Tensor:
    """Return KL(q || N(0, I)) in closed form, as `sampled_kl`."""
    dim = posterior.event_shape[-1]
    prior = gaussian(tf.zeros([dim], posterior.dtype), tf.ones([dim], posterior.dtype))
    return posterior.kl_divergence(prior)


def shifted_exponential(raw: tf.Tensor, at_zero: Any) -> tf.Tensor:
    """Map a raw output u to a standard deviation: max(exp(u) - 1 + at_zero, 1e-10).

    Where the floor is active no gradient reaches u. From the official code; the paper does not give the map.
    """
    return tf.maximum(tf.math.expm1(raw) + at_zero, _SMALLEST_STDDEV)


def scaled_exponential(raw: tf.Tensor, at_zero: Any) -> tf.Tensor:
    """Map a raw output u to a standard deviation: at_zero * exp(u), which keeps its gradient however small it is."""
    return at_zero * tf.exp(raw)


def bounded_exponential(raw: tf.Tensor, at_zero: Any) -> tf.Tensor:
    """Map a raw output u to a standard deviation: about at_zero * exp(u), and always within a factor 10 of at_zero."""
    return at_zero * tf.exp(_LARGEST_LOG_FACTOR * tf.tanh(raw / _LARGEST_LOG_FACTOR))


def glorot_stddev(fan_in: int, fan_out: int) -> float:
    """Return the standard deviation of a Glorot-initialised [fan_in, fan_out] matrix."""
    return math.sqrt(2.0 / (fan_in + fan_out))
