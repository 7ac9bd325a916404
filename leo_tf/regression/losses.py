"""What meta-training judges several sampled functions of a task by."""

import itertools

import numpy as np
import tensorflow as tf

_SMALLEST = 1e-6  # under the root, whose gradient at 0 is none; in squared units of the targets


def squared_error(values, targets, weights):
    """Return the mean squared error of single samples: the paper's loss. It charges for spread.

    Args:
      values: sampled functions [tasks, samples, candidates, n].
      targets: [tasks, n].
      weights: probabilities of a sample's candidates [tasks, samples, candidates], sums 1.

    Returns:
      [tasks].
    """
    errors = tf.reduce_mean(tf.math.squared_difference(values, targets[:, tf.newaxis, tf.newaxis]), axis=3)
    return tf.reduce_mean(tf.reduce_sum(weights * errors, axis=2), axis=1)


def smoothed(values, x, width):
    """Average functions over neighbouring points, with weights that fall off as a Gaussian.

    Noise of every point's own averages out; functions that change over more than the width stay.

    Args:
      values: [tasks, functions, n].
      x: [tasks, n].
      width: standard deviation of the Gaussian, above 0.

    Returns:
      [tasks, functions, n].
    """
    distances = (x[:, :, tf.newaxis] - x[:, tf.newaxis]) / width
    weights = tf.nn.softmax(-0.5 * distances**2, axis=-1)  # of each point, [tasks, n, n]
    return tf.matmul(values, weights, transpose_b=True)


def energy_score(values, targets, weights):
    """Estimate the energy score E|f - y| - E|f - f'| / 2 of the distribution of f; lower is better.

    |.| is the root mean square over a task's points, so that a whole function is judged, not one point at a time:
    between two possible functions is no good place. On average over targets y, no distribution of f scores better
    than that of the y; any other scores worse. f and f' are independent samples, so the estimate is without bias, and
    its optimum is the true distribution with two samples as with many. (Where the members of an ensemble differ in
    more than their noise, a few can do without each other and drift away; then a biased estimate is better.)

    Args:
      values: sampled functions [tasks, samples, candidates, n], at least two samples.
      targets: [tasks, n].
      weights: probabilities of a sample's candidates [tasks, samples, candidates], sums 1. The score is the mean over
        which one is taken.

    Returns:
      [tasks].

    References:
      Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation" (JASA 2007), section 4.3.
      Lang et al., "AIFS-CRPS" (2024), for the drift.
    """
    samples, candidates = values.shape[1:3]
    every = samples * candidates
    values, weights = tf.reshape(values, [-1, every, values.shape[3]]), tf.reshape(weights, [-1, every])
    error = tf.reduce_sum(weights * _distance(values, targets[:, tf.newaxis]), axis=1) / samples
    pairs = [(i, j) for i, j in itertools.combinations(range(every), 2) if i // candidates != j // candidates]
    first, second = np.transpose(pairs)
    products = _take(weights, first) * _take(weights, second)
    between = tf.reduce_sum(products * _distance(_take(values, first), _take(values, second)), axis=1)
    return error - between / (samples * (samples - 1))


def _take(values, columns):
    return tf.gather(values, columns, axis=1)


def _distance(a, b):
    return tf.sqrt(tf.reduce_mean(tf.math.squared_difference(a, b), axis=-1) + _SMALLEST)
