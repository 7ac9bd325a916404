"""Candidates of the samples of a task's code: their distributions, and the choice of one for each sample."""

import math
from typing import Any, NamedTuple

import tensorflow as tf

from leo_tf.layers import distributions


class Codes(NamedTuple):
    """Gaussians over codes, one for each candidate of each sample of each task, in this order."""

    distribution: distributions.tfd.Distribution  # batch shape [tasks * samples * candidates], event [num_latents]
    log_shares: tf.Tensor  # [tasks, samples, candidates], log prior probabilities of each sample's candidates


def of_gaussian(posterior: Any, tasks: Any, samples: int, candidates: int) -> Codes:
    """Return the Codes of samples from each task's Gaussian, batch shape [tasks]."""
    times = samples * candidates
    shares = tf.fill([tasks, samples, candidates], tf.constant(-math.log(candidates), posterior.dtype))
    if times == 1:
        return Codes(posterior, shares)
    each = (tf.repeat(values, times, axis=0) for values in (posterior.mean(), posterior.stddev()))
    return Codes(distributions.gaussian(*each), shares)


def of_mixture(posterior: Any, samples: int, candidates: int) -> Codes:
    """Return the Codes of samples whose candidates come from each component of a mixture in turn.

    The components' shares weight the candidates instead of choosing among them at random, so that a loss has a gradient
    in the shares. `candidates`, per sample, is a multiple of the number of components.
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


def chosen(values: tf.Tensor, weights: tf.Tensor, normals: tf.Tensor) -> tf.Tensor:
    """Choose one candidate of each sample at random and return its values, [samples, ...].

    values: [samples * candidates, ...]; weights: probabilities [samples, candidates], sums 1; normals: standard normal
    numbers [samples].
    """
    uniform = 0.5 * tf.math.erfc(-normals / math.sqrt(2.0))
    above = uniform[:, tf.newaxis] > tf.cumsum(weights, axis=1)[:, :-1]
    choice = tf.reduce_sum(tf.cast(above, tf.int32), axis=1)
    by_sample = tf.reshape(values, [-1, weights.shape[1], *values.shape[1:]])
    return tf.gather(by_sample, choice, batch_dims=1)


def likeliest(posterior: Any) -> Any:
    """Return the Gaussian of the component with the largest share of each task's mixture."""
    each, choice = posterior.components_distribution, tf.argmax(posterior.mixture_distribution.logits, axis=1)
    return distributions.gaussian(*(tf.gather(v, choice, batch_dims=1) for v in (each.mean(), each.stddev())))
