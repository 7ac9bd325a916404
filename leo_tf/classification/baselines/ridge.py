"""Ridge regression on the classes' indicators: a linear classifier in closed form."""

import tensorflow as tf

from leo_tf.classification.baselines.dual import positive, span_of


def ridge(support_x, support_y, penalty=1.0):
    """Fit a ridge regression of each task's one-hot labels on its support.

    Args:
      support_x: embeddings [tasks, ways, shots, dim].
      support_y: labels [tasks, ways, shots] int.
      penalty: of the squared norm of the weights, against the summed squared error; scikit-learn's alpha. A number or a
        scalar tensor.

    Returns:
      LinearClassifier, with bias; its logits are the regression's values.

    Raises:
      InputError: the penalty is not positive.
    """
    penalty = positive("penalty", penalty)
    support_x = tf.convert_to_tensor(support_x)
    span = span_of(support_x, support_y)
    level = tf.reduce_mean(span.targets, axis=2, keepdims=True)
    matrix = span.gram + penalty * tf.eye(span.gram.shape[-1], dtype=tf.float64)
    dual = tf.linalg.cholesky_solve(tf.linalg.cholesky(matrix), tf.linalg.matrix_transpose(span.targets - level))
    return span.classifier(tf.linalg.matrix_transpose(dual), level[..., 0], support_x.dtype)
