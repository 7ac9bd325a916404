"""Losses of several sampled functions per task, for meta-training."""

import itertools

import numpy as np
import tensorflow as tf

_SMALLEST = 1e-6  # added under the root, which has no gradient at 0; in squared units of the targets


def squared_error(values: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Return the mean squared error of single samples [tasks]: the paper's loss, which penalises their variance.

    values: sampled functions [tasks, samples, candidates, n]; targets: [tasks, n]; weights: probabilities of a sample's
    candidates [tasks, samples, candidates], sums 1.
    """
    errors = tf.reduce_mean(tf.math.squared_difference(values, targets[:, tf.newaxis, tf.newaxis]), axis=3)
    return tf.reduce_mean(tf.reduce_sum(weights * errors, axis=2), axis=1)


def smoothed(values: tf.Tensor, x: tf.Tensor, width: float) -> tf.Tensor:
    """Average functions [tasks, functions, n] over neighbouring points x [tasks, n] with Gaussian weights.

    Independent noise of the points averages out; features of the function that are wider than the Gaussian, whose
    standard deviation is `width`, remain.
    """
    distances = (x[:, :, tf.newaxis] - x[:, tf.newaxis]) / width
    weights = tf.nn.softmax(-0.5 * distances**2, axis=-1)  # of each point, [tasks, n, n]
    return tf.matmul(values, weights, transpose_b=True)


def energy_score(values: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Estimate the energy score E|f - y| - E|f - f'| / 2 of the distribution of f, [tasks]; lower is better.

    |.| is the root mean square over a task's points, so that the score is one of whole functions, not of single points:
    a function halfway between two possible ones scores badly. The score is strictly proper: on average over targets y,
    the distribution of y itself scores best. f and f' are independent samples, so the estimate is unbiased, and its
    optimum is the true distribution for two samples as for many.

    Arguments are as for `squared_error`, with at least two samples. The score is its expectation over the choice of
    candidates.

    References:
      Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation" (JASA 2007), section 4.3.
    """
    samples, candidates = values.shape[1:3]
    every = samples * candidates
    values, weights = tf.reshape(values, [-1, every, values.shape[3]]), tf.reshape(weights, [-1, every])
    error = tf.reduce_sum(weights * _distance(values, targets[:, tf.newaxis]), axis=1) / samples
    pairs = [(i, j) for i, j in itertools.combinations(range(every), 2) if i // candidates != j // candidates]
    first, second = ([tf.gather(each, of, axis=1) for each in (values, weights)] for of in np.transpose(pairs))
    between = tf.reduce_sum(first[1] * second[1] * _distance(first[0], second[0]), axis=1)
    return error - between / (samples * (samples - 1))


def _distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_mean(tf.math.squared_difference(a, b), axis=-1) + _SMALLEST)
