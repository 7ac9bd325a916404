"""Nearest class mean, by Euclidean distance and by cosine."""

from typing import Any

import tensorflow as tf

from leo_tf.classification.metrics import LinearClassifier


def nearest_class_mean(support_x: Any) -> LinearClassifier:
    """Return the classifier that picks the class with the nearest support mean (Euclidean).

    `support_x` is [tasks, ways, shots, dim]; logits are -|x - c|^2 / 2 up to a term without c.
    """
    means = tf.reduce_mean(support_x, axis=2)
    return LinearClassifier(means, -tf.reduce_sum(tf.square(means), axis=-1) / 2)


def nearest_class_mean_by_cosine(support_x: Any) -> LinearClassifier:
    """Return the classifier that picks the class whose support mean has the largest cosine with the query."""
    return LinearClassifier(tf.math.l2_normalize(tf.reduce_mean(support_x, axis=2), axis=-1))
