"""What the samples of a task's code are drawn from: a Gaussian, or the Gaussians of a mixture, by shares or in turn."""

import math
from typing import NamedTuple

import tensorflow as tf

from leo_tf.layers import distributions


class Codes(NamedTuple):
    """Gaussians to draw codes from, one for every sample; the samples of a task are consecutive."""

    distribution: distributions.tfd.Distribution  # batch shape [tasks * samples], event shape [num_latents]
    weights: tf.Tensor | None  # [tasks, samples], sums 1; None of one sample a task
    log_shares: tf.Tensor | float  # [tasks * samples], log of each component's share times their number


def repeated(posterior, tasks, samples):
    """Return the Codes of `samples` draws of each task's Gaussian, batch shape [tasks]."""
    if samples == 1:
        return Codes(posterior, None, 0.0)
    each = (tf.repeat(values, samples, axis=0) for values in (posterior.mean(), posterior.stddev()))
    weights = tf.fill([tasks, samples], tf.constant(1 / samples, posterior.dtype))
    return Codes(distributions.gaussian(*each), weights, 0.0)


def in_turn(posterior, samples):
    """Return the Codes of equally many draws from every component of a mixture, weighted by their shares.

    Sample s is of component s % components. So nothing random chooses, and a loss of the weighted samples has a
    gradient in the shares.

    Args:
      posterior: tfd.MixtureSameFamily of Gaussians, batch shape [tasks].
      samples: a multiple of the number of components.
    """
    logits, each = posterior.mixture_distribution.logits, posterior.components_distribution
    components, num_latents = each.batch_shape[-1], each.event_shape[-1]
    times = samples // components
    gaussians = (
        tf.reshape(tf.tile(values, [1, times, 1]), [-1, num_latents]) for values in (each.mean(), each.stddev())
    )
    log_shares = tf.tile(tf.nn.log_softmax(logits), [1, times])
    return Codes(
        distributions.gaussian(*gaussians),
        tf.exp(log_shares) / times,
        tf.reshape(log_shares, [-1]) + math.log(components),
    )


def by_shares(posterior, normals):
    """Return the Codes of one draw of a mixture: of the component that a standard normal number [tasks, 1] chooses."""
    shares = tf.nn.softmax(posterior.mixture_distribution.logits)
    uniform = 0.5 * tf.math.erfc(-normals / math.sqrt(2.0))
    choice = tf.reduce_sum(tf.cast(uniform > tf.cumsum(shares, axis=1)[:, :-1], tf.int32), axis=1)
    return Codes(component(posterior, choice), None, 0.0)


def component(posterior, choice):
    """Return the Gaussian of component `choice` [tasks] of each task's mixture."""
    each = posterior.components_distribution
    return distributions.gaussian(*(tf.gather(v, choice, batch_dims=1) for v in (each.mean(), each.stddev())))


def likeliest(posterior):
    """Return the Gaussian of the component with the largest share of each task's mixture."""
    return component(posterior, tf.argmax(posterior.mixture_distribution.logits, axis=1))
