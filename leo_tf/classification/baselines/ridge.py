"""Ridge regression on one-hot labels: a linear classifier in closed form."""

from typing import Any

import tensorflow as tf

from leo_tf.classification.baselines.dual import dual_problem, positive
from leo_tf.classification.metrics import LinearClassifier


def ridge(support_x: Any, support_y: Any, penalty: Any = 1.0) -> LinearClassifier:
    """Fit a ridge regression of each task's one-hot labels on its support; the logits are the regression's values.

    The penalty, a number or a scalar tensor, is the factor of the weights' squared norm in the objective, beside the
    summed squared error; scikit-learn's alpha.
    """
    penalty = positive("penalty", penalty)
    support_x = tf.convert_to_tensor(support_x)
    problem = dual_problem(support_x, support_y)
    there = tf.reduce_sum(problem.targets, axis=1, keepdims=True)  # 0 for an absent example
    level = tf.reduce_sum(problem.targets, axis=2, keepdims=True) / tf.reduce_sum(there, axis=2, keepdims=True)
    matrix = problem.gram + penalty * tf.eye(problem.gram.shape[-1], dtype=tf.float64)
    dual = tf.linalg.cholesky_solve(
        tf.linalg.cholesky(matrix), tf.linalg.matrix_transpose(problem.targets - level * there)
    )
    return problem.classifier(tf.linalg.matrix_transpose(dual), level[..., 0], support_x.dtype)
