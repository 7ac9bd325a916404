"""What PLDA gives in closed form, for any number of examples per class: a classifier, and ratios of densities."""

from typing import Any

import tensorflow as tf


def plda_classifier(class_means: tf.Tensor, counts: Any, variances: tf.Tensor, metric: tf.Tensor, scale: Any) -> Any:
    """Return the linear classifier of PLDA's predictive densities.

    In the axes of PLDA, z, an example of class c is N(mu_c, diag(s)) given the class's K_c examples of mean m_c, where
    mu_c = K_c v / (1 + K_c v) m_c, and s = (1 + (K + 1) v) / (1 + K v) at the task's mean K. As all classes share s,
    log-densities are linear in z up to what is equal for all: (mu_c / s) . z - mu_c . (mu_c / s) / 2.

    Args:
      class_means: [tasks, ways, dim], of features x = metric * z.
      counts: examples per class K_c, [tasks, ways] or a scalar.
      variances: between-class variances v, [dim].
      metric: factors by which features differ from z, [dim].
      scale: factor of the logits, a scalar: the square of the length that features of unit length had.

    Returns:
      [tasks, ways, dim + 1], with the bias in the last column.

    References:
      Ioffe, "Probabilistic linear discriminant analysis", ECCV 2006.
    """
    counts, spread = _counts_and_spread(class_means, counts, variances)
    expected = counts * variances / (1.0 + counts * variances) * class_means
    weights = scale * expected / (spread * metric**2)
    bias = -0.5 * tf.reduce_sum(weights * expected, axis=-1, keepdims=True)
    return tf.concat([weights, bias], axis=-1)


def plda_log_ratios(class_means: tf.Tensor, counts: Any, variances: tf.Tensor, metric: tf.Tensor, scale: Any) -> Any:
    """Return the logarithms of the ratios of each class's density to that of a class without examples.

    The density of a class without examples is N(0, diag(1 + v)), that of class c N(mu_c, diag(s)) as in
    `plda_classifier`, whose logits lack what is equal for all classes:

        1/2 sum over axes of  (log(1 + v) - log s)  -  z^2 (1 / s - 1 / (1 + v))

    Args: as for `plda_classifier`.

    Returns:
      [tasks, ways, 2 dim + 1], the coefficients of x, of 1 and of x^2.
    """
    linear = plda_classifier(class_means, counts, variances, metric, scale)
    _, spread = _counts_and_spread(class_means, counts, variances)
    constant = 0.5 * tf.reduce_sum(tf.math.log((1.0 + variances) / spread), axis=-1, keepdims=True)
    quadratic = -0.5 * scale * (1.0 / spread - 1.0 / (1.0 + variances)) / metric**2
    shared = tf.concat([tf.zeros_like(quadratic), constant, quadratic], axis=-1)  # [tasks, 1, 2 dim + 1]
    return tf.pad(linear, [[0, 0], [0, 0], [0, tf.shape(quadratic)[-1]]]) + shared


def _counts_and_spread(class_means: tf.Tensor, counts: Any, variances: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the examples per class [tasks, ways, 1], and s at their mean [tasks, 1, dim]."""
    counts = tf.broadcast_to(tf.cast(counts, class_means.dtype), tf.shape(class_means)[:2])[..., tf.newaxis]
    mean_count = tf.reduce_mean(counts, axis=1, keepdims=True)
    return counts, (1.0 + (mean_count + 1.0) * variances) / (1.0 + mean_count * variances)
