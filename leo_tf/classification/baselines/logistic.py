"""Multinomial logistic regression of all tasks of a batch at once, by Newton's method on the dual problem."""

import logging
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from leo_tf.classification.baselines.dual import dual_problem, positive
from leo_tf.classification.metrics import LinearClassifier

_MOST_STEPS = 50  # about ten are needed
_TOLERANCE = 1e-6  # relative to the largest dual coefficient
_STEP_LENGTHS = (1.0, 0.5, 0.25, 0.1, 0.01)
_TIE = 1e-9  # relative differences of the objective below it are rounding
_logger = logging.getLogger("leo_tf")


def logistic_regression(support_x: Any, support_y: Any, C: Any = 1.0) -> LinearClassifier:
    """Fit an L2-penalised multinomial logistic regression, with a bias, to each task's support.

    A step costs about `ways` Cholesky factorisations of a [examples, examples] matrix per task.
    `functools.partial(logistic_regression, C=10.0)` is a `make_classifier` for `Evaluator`.

    Args:
      support_x: embeddings [tasks, ways, shots, dim].
      support_y: labels [tasks, ways, shots] int; every class 0..ways-1 occurs.
      C: factor of the summed cross-entropy, beside half the squared norm of the weights; scikit-learn's C, except that
        scikit-learn has one row of weights for two classes, so that its C = 1 is C = 0.5 here. A number or a scalar
        tensor, above 0.
    """
    C = positive("C", C)
    support_x = tf.convert_to_tensor(support_x)
    problem = dual_problem(support_x, support_y)
    dual, bias, error = _minimise(C * problem.gram, problem.targets)
    count = tf.reduce_sum(tf.cast(error > _TOLERANCE, tf.int32))
    tf.cond(count > 0, lambda: tf.numpy_function(_warn, [count], tf.int32), lambda: count)
    return problem.classifier(C * dual, bias, support_x.dtype)


def _warn(count: Any) -> Any:
    _logger.warning("Logistic regression did not converge in %d steps for %d tasks.", _MOST_STEPS, count)
    return count


def _minimise(kernel: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Minimise cross_entropy(f) + sum_c a_c K a_c / 2 over a and b, where f_c = K a_c + b_c are the logits.

    There a = y - softmax(f), so that a sums to zero over classes, and by the bias over examples. The kernel K is of
    examples whose mean is the origin, [tasks, examples, examples]; targets y and a are [tasks, ways, examples], b
    [tasks, ways]. Also returned is the error of a relative to its largest element, [tasks].

    References:
      Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 3.5: Newton's step for a multiclass
      classifier by one Cholesky factor per class. The free bias is eliminated from the step here.
    """

    def unfinished(step: tf.Tensor, dual: tf.Tensor, bias: tf.Tensor, error: tf.Tensor) -> tf.Tensor:
        return tf.logical_and(step < _MOST_STEPS, tf.reduce_any(error > _TOLERANCE))

    def improve(step: tf.Tensor, dual: tf.Tensor, bias: tf.Tensor, error: tf.Tensor) -> tuple[tf.Tensor, ...]:
        dual, bias = _line_search(kernel, targets, (dual, bias), _newton(kernel, targets, dual, bias))
        return step + 1, dual, bias, _error(kernel, targets, dual, bias)

    dual, bias = tf.zeros_like(targets), tf.zeros_like(targets[..., 0])
    start = tf.constant(0), dual, bias, _error(kernel, targets, dual, bias)
    return tf.while_loop(unfinished, improve, start)[1:]


def _logits(kernel: tf.Tensor, dual: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    return tf.matmul(dual, kernel) + bias[..., tf.newaxis]


def _error(kernel: tf.Tensor, targets: tf.Tensor, dual: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    gradient = targets - tf.nn.softmax(_logits(kernel, dual, bias), axis=1)
    off = tf.reduce_max(tf.abs(dual - gradient), axis=[1, 2])
    return off / tf.reduce_max(tf.abs(gradient), axis=[1, 2])


def _newton(kernel: tf.Tensor, targets: tf.Tensor, dual: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the minimum of the objective's quadratic model, (dual, bias).

    With W = diag(p) - p p' (over classes, each example alone) the Hessian of the cross-entropy in f, the step solves
    a + W (K a + b) = W f + y - p and sum_i a_i = 0. P = (K + W^-1)^-1 is never formed.
    """
    logits = _logits(kernel, dual, bias)
    p = tf.nn.softmax(logits, axis=1)
    root = tf.sqrt(p)
    identity = tf.eye(kernel.shape[-1], dtype=kernel.dtype)
    inner = identity + root[..., tf.newaxis] * kernel[:, tf.newaxis] * root[..., tf.newaxis, :]
    half = tf.linalg.triangular_solve(tf.linalg.cholesky(inner), tf.linalg.diag(root))
    each = tf.matmul(half, half, transpose_a=True)  # (K + diag(p_c)^-1)^-1, [tasks, ways, examples, examples]
    factor = tf.linalg.cholesky(tf.reduce_sum(each, axis=1))

    def times_p(values: tf.Tensor) -> tf.Tensor:  # [tasks, ways, examples]
        products = tf.linalg.matvec(each, values)
        shared = tf.linalg.cholesky_solve(factor, tf.reduce_sum(products, axis=1)[..., tf.newaxis])[..., 0]
        return products - tf.linalg.matvec(each, shared[:, tf.newaxis])

    right = p * (logits - tf.reduce_sum(p * logits, axis=1, keepdims=True)) + targets - p
    without_bias = right - times_p(tf.matmul(right, kernel))
    sums = tf.reduce_sum(each, axis=-1)  # of P's blocks over examples: P summed over examples is [ways, ways]
    blocks = tf.linalg.diag(tf.reduce_sum(sums, axis=-1))
    blocks -= tf.matmul(sums, tf.linalg.cholesky_solve(factor, tf.linalg.matrix_transpose(sums)))
    # A constant added to all biases changes nothing; the ones choose the solution that sums to zero.
    blocks += tf.reduce_mean(tf.linalg.diag_part(blocks), axis=-1)[:, tf.newaxis, tf.newaxis]
    new_bias = tf.linalg.solve(blocks, tf.reduce_sum(without_bias, axis=-1, keepdims=True))
    return without_bias - times_p(new_bias * tf.ones_like(right)), new_bias[..., 0]


def _line_search(
    kernel: tf.Tensor, targets: tf.Tensor, old: Sequence[tf.Tensor], new: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """Return the best of several points between `old` and `new` for each task; `new` on a tie."""

    def value(dual: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        logits = _logits(kernel, dual, bias)
        loss = tf.reduce_logsumexp(logits, axis=1) - tf.reduce_sum(targets * logits, axis=1)
        return tf.reduce_sum(loss, axis=1) + tf.reduce_sum(dual * tf.matmul(dual, kernel), axis=[1, 2]) / 2

    points = [[a + length * (b - a) for a, b in zip(old, new, strict=True)] for length in _STEP_LENGTHS]
    whole, *shorter = [value(*point) for point in points]
    best = tf.argmin(tf.stack([(1 - _TIE) * whole, *shorter]), axis=0)
    stacked = [tf.stack(parts, axis=1) for parts in zip(*points, strict=True)]
    return [tf.gather(parts, best, batch_dims=1, axis=1) for parts in stacked]
