"""The classifier that PLDA gives in closed form, for any number of examples per class."""

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
    counts = tf.broadcast_to(tf.cast(counts, class_means.dtype), tf.shape(class_means)[:2])[..., tf.newaxis]
    mean_count = tf.reduce_mean(counts, axis=1, keepdims=True)
    spread = (1.0 + (mean_count + 1.0) * variances) / (1.0 + mean_count * variances)
    expected = counts * variances / (1.0 + counts * variances) * class_means
    weights = scale * expected / (spread * metric**2)
    bias = -0.5 * tf.reduce_sum(weights * expected, axis=-1, keepdims=True)
    return tf.concat([weights, bias], axis=-1)
