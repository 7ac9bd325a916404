"""Nearest class mean, by Euclidean distance and by cosine."""

from typing import Any

import tensorflow as tf

from leo_tf.classification.metrics import LinearClassifier


def nearest_class_mean(support_x: Any, support_y: Any) -> LinearClassifier:
    """Return the classifier that picks the class with the nearest support mean (Euclidean).

    Arguments as in `class_means`; logits are -|x - c|^2 / 2 up to a term without c.
    """
    means, _ = class_means(support_x, support_y)
    return LinearClassifier(means, -tf.reduce_sum(tf.square(means), axis=-1) / 2)


def nearest_class_mean_by_cosine(support_x: Any, support_y: Any) -> LinearClassifier:
    """Return the classifier that picks the class whose support mean has the largest cosine with the query."""
    return LinearClassifier(tf.math.l2_normalize(class_means(support_x, support_y)[0], axis=-1))


def class_means(support_x: Any, support_y: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Return (means [tasks, ways, dim], counts [tasks, ways]) of embeddings [tasks, ways, shots, dim] of each class.

    The labels [tasks, ways, shots] are in the order of the classes; -1 where there is no example.
    """
    support_x = tf.convert_to_tensor(support_x)
    there = tf.cast(tf.convert_to_tensor(support_y) >= 0, support_x.dtype)[..., tf.newaxis]
    counts = tf.reduce_sum(there, axis=2)
    return tf.reduce_sum(there * support_x, axis=2) / counts, counts[..., 0]
