"""Ridge regression on one-hot labels: a linear classifier in closed form."""

from typing import Any

import tensorflow as tf

from leo_tf.classification.baselines.hyperparameters import positive
from leo_tf.classification.metrics import LinearClassifier


def ridge(support_x: Any, support_y: Any, penalty: Any = 1.0) -> LinearClassifier:
    """Fit a ridge regression of each task's one-hot labels on its support; the logits are the regression's values.

    The weights are sums of support examples (the representer theorem), so that a task of n examples is solved in their
    n x n Gram matrix, in float64.

    Args:
      support_x: embeddings [tasks, ways, shots, dim].
      support_y: labels [tasks, ways, shots] int; -1 where there is no example.
      penalty: factor of the weights' squared norm in the objective, beside the summed squared error; scikit-learn's
        alpha. A number or a scalar tensor, above 0.
    """
    penalty = positive("penalty", penalty)
    support_x = tf.convert_to_tensor(support_x)
    tasks, ways, shots, dim = support_x.shape
    examples = tf.reshape(tf.cast(support_x, tf.float64), [tasks, ways * shots, dim])
    targets = tf.one_hot(tf.reshape(support_y, [tasks, ways * shots]), ways, dtype=tf.float64)
    there = tf.reduce_sum(targets, axis=2, keepdims=True)  # 0 for an absent example, which then changes nothing
    count = tf.reduce_sum(there, axis=1, keepdims=True)
    mean, level = (tf.reduce_sum(there * each, axis=1, keepdims=True) / count for each in (examples, targets))
    centred = there * (examples - mean)  # the bias has no penalty
    gram = tf.matmul(centred, centred, transpose_b=True) + penalty * tf.eye(ways * shots, dtype=tf.float64)
    dual = tf.linalg.cholesky_solve(tf.linalg.cholesky(gram), there * (targets - level))
    weights = tf.matmul(dual, centred, transpose_a=True)
    bias = level[:, 0] - tf.linalg.matvec(weights, mean[:, 0])
    return LinearClassifier(tf.cast(weights, support_x.dtype), tf.cast(bias, support_x.dtype))
