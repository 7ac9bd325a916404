"""Multinomial logistic regression of all tasks of a batch at once."""

import functools
import logging
from typing import Any

import tensorflow as tf

from leo_tf.classification.baselines.hyperparameters import positive
from leo_tf.classification.metrics import LinearClassifier
from leo_tf.classification.softmax_fit import fit_softmax

_MOST_STEPS = 1000  # 20 to 80 are needed, with little penalty several hundred
_TOLERANCE = 1e-3  # of a step, relative to the largest coordinate; a tenth of it changes accuracy by 0.1 points at most
_logger = logging.getLogger("leo_tf")


def logistic_regression(support_x: Any, support_y: Any, C: Any = 1.0) -> LinearClassifier:
    """Fit an L2-penalised multinomial logistic regression, with a bias, to each task's support.

    `functools.partial(logistic_regression, C=10.0)` is a `make_classifier` for `Evaluator`.

    Args:
      support_x: embeddings [tasks, ways, shots, dim].
      support_y: labels [tasks, ways, shots] int; -1 where there is no example. Every class 0..ways-1 occurs.
      C: factor of the summed cross-entropy, beside half the squared norm of the weights; scikit-learn's C, except that
        scikit-learn has one row of weights for two classes, so that its C = 1 is C = 0.5 here. A number or a scalar
        tensor, above 0.
    """
    C = positive("C", C)
    support_x, support_y = tf.convert_to_tensor(support_x), tf.convert_to_tensor(support_y)
    tasks, ways, shots, dim = support_x.shape
    labels = tf.reshape(support_y, [tasks, ways * shots])
    fitted = fit_softmax(
        tf.reshape(support_x, [tasks, ways * shots, dim]),
        tf.one_hot(labels, ways, dtype=support_x.dtype),
        1.0 / C,
        tf.cast(labels >= 0, support_x.dtype),
        has_bias=True,
        tolerance=_TOLERANCE,
        most_steps=_MOST_STEPS,
    )
    unfinished = tf.reduce_any(fitted.error > _TOLERANCE)
    tf.cond(unfinished, lambda: tf.numpy_function(_warn_once, [], tf.bool), lambda: unfinished)
    return LinearClassifier(fitted.weights, fitted.bias)


@functools.cache
def _warn_once() -> bool:
    _logger.warning("Logistic regression did not converge in %d steps for some tasks. This is said once.", _MOST_STEPS)
    return True
