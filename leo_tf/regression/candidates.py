"""What the samples of a task's code are drawn from, and which of a sample's candidates is taken."""

import math
from typing import NamedTuple

import tensorflow as tf

from leo_tf.layers import distributions


class Codes(NamedTuple):
    """Gaussians to draw codes from, one for each candidate of each sample of each task, in this order."""

    distribution: distributions.tfd.Distribution  # batch shape [tasks * samples * candidates], event [num_latents]
    log_shares: tf.Tensor  # [tasks, samples, candidates], logs of the prior probabilities, which sum to 1 for a sample


def of_gaussian(posterior, tasks, samples, candidates):
    """Return the Codes of samples that are all drawn from each task's Gaussian, batch shape [tasks]."""
    times = samples * candidates
    shares = tf.fill([tasks, samples, candidates], tf.constant(-math.log(candidates), posterior.dtype))
    if times == 1:
        return Codes(posterior, shares)
    each = (tf.repeat(values, times, axis=0) for values in (posterior.mean(), posterior.stddev()))
    return Codes(distributions.gaussian(*each), shares)


def of_mixture(posterior, samples, candidates):
    """Return the Codes of samples whose candidates are of every component of a mixture in turn, with their shares.

    So nothing random chooses, and a loss of the weighted candidates has a gradient in the shares.

    Args:
      posterior: tfd.MixtureSameFamily of Gaussians, batch shape [tasks].
      samples: for each task.
      candidates: for each sample, a multiple of the number of components.
    """
    logits, each = posterior.mixture_distribution.logits, posterior.components_distribution
    components, num_latents = each.batch_shape[-1], each.event_shape[-1]
    times = candidates // components
    gaussians = (
        tf.reshape(tf.tile(values, [1, samples * times, 1]), [-1, num_latents])
        for values in (each.mean(), each.stddev())
    )
    shares = tf.tile(tf.nn.log_softmax(logits)[:, tf.newaxis] - math.log(times), [1, samples, times])
    return Codes(distributions.gaussian(*gaussians), shares)


def chosen(values, weights, normals):
    """Return of every sample the values of one candidate, which a random number chooses.

    Args:
      values: [samples * candidates, ...].
      weights: probabilities of the candidates [samples, candidates], sums 1.
      normals: standard normal numbers [samples].

    Returns:
      [samples, ...].
    """
    uniform = 0.5 * tf.math.erfc(-normals / math.sqrt(2.0))
    above = uniform[:, tf.newaxis] > tf.cumsum(weights, axis=1)[:, :-1]
    choice = tf.reduce_sum(tf.cast(above, tf.int32), axis=1)
    by_sample = tf.reshape(values, [-1, weights.shape[1], *values.shape[1:]])
    return tf.gather(by_sample, choice, batch_dims=1)


def likeliest(posterior):
    """Return the Gaussian of the component with the largest share of each task's mixture."""
    each, choice = posterior.components_distribution, tf.argmax(posterior.mixture_distribution.logits, axis=1)
    return distributions.gaussian(*(tf.gather(v, choice, batch_dims=1) for v in (each.mean(), each.stddev())))
