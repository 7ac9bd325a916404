"""Logistic regression fitted to each support set alone, by scikit-learn: what no meta-learning at all gives."""

import numpy as np
import tensorflow as tf

from leo_tf.classification.scoring import LinearClassifier
from leo_tf.errors import InputError, require_package


def logistic_regression(support_x, support_y, C=1.0):
    """Fit an L2-penalised multinomial logistic regression to each task's support.

    Tasks are fitted one after the other, some 10 ms each. Works in eager code and inside a `tf.function`, so
    that `functools.partial(logistic_regression, C=10.0)` is a `make_classifier` for `evaluation.Evaluator`.

    Args:
      support_x: embeddings [tasks, ways, shots, dim].
      support_y: labels [tasks, ways, shots] int; every class 0..ways-1 occurs.
      C: weight of the summed cross-entropy against half the squared norm of the weights; scikit-learn's C.

    Returns:
      LinearClassifier, with bias.

    Raises:
      InputError: scikit-learn is not installed, or C is not positive.
    """
    require_package("sklearn", "logistic_regression")
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    if not C > 0:
        raise InputError(f"Got C={C!r}; expected a number above 0.")

    @threadpool_limits.wrap(limits=1)  # the matrices are too small for several threads
    def fit(inputs, labels):
        tasks, ways, _, dim = inputs.shape
        weights, bias = np.empty((tasks, ways, dim), inputs.dtype), np.empty((tasks, ways), inputs.dtype)
        examples, classes = inputs.astype(np.float64).reshape(tasks, -1, dim), labels.reshape(tasks, -1)
        for task in range(tasks):
            model = LogisticRegression(C=C, max_iter=1000).fit(examples[task], classes[task])
            if ways == 2:  # scikit-learn then gives one row, the log odds
                weights[task] = np.array([-0.5, 0.5])[:, np.newaxis] * model.coef_
                bias[task] = np.array([-0.5, 0.5]) * model.intercept_
            else:
                weights[task], bias[task] = model.coef_, model.intercept_
        return weights, bias

    support_x = tf.convert_to_tensor(support_x)
    weights, bias = tf.numpy_function(fit, [support_x, support_y], [support_x.dtype] * 2)
    shape = support_x.shape
    return LinearClassifier(
        tf.ensure_shape(weights, [shape[0], shape[1], shape[3]]), tf.ensure_shape(bias, [shape[0], shape[1]])
    )
