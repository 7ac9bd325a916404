"""Softmax regression of all tasks of a batch at once, to convergence."""

from typing import Any, NamedTuple

import tensorflow as tf


class SoftmaxFit(NamedTuple):
    """Solution of a batch of softmax regressions."""

    weights: tf.Tensor  # [tasks, ways, dim]
    bias: tf.Tensor  # [tasks, ways]; zero without a bias
    error: tf.Tensor  # [tasks]: the last step, relative to the largest coordinate


def fit_softmax(
    examples: tf.Tensor,
    targets: tf.Tensor,
    penalty: Any,
    example_weights: tf.Tensor | None = None,
    offset: Any = 0.0,
    has_bias: bool = False,
    tolerance: float = 1e-4,
    most_steps: int = 200,
) -> SoftmaxFit:
    """Minimise sum_i w_i cross_entropy(o_i + D x_i + b, y_i) + (penalty / 2) |D|^2 over D, and over b with a bias.

    The problem is convex. A step minimises a quadratic bound whose matrix does not depend on the probabilities, so that
    one inverse serves all steps; momentum, which restarts where a step goes back, makes them few. With fewer examples
    than dimensions, D is a sum of examples (the representer theorem), and its coefficients are sought instead.

    Args:
      examples: [tasks, examples, dim].
      targets: [tasks, examples, ways], one-hot.
      penalty: above 0; a scalar, or a tensor [tasks].
      example_weights: w, [tasks, examples], at least 0; by default 1. An example of weight 0 changes nothing.
      offset: o, logits [tasks, examples, ways] that stay as they are.
      has_bias: whether there is a b, which has no penalty.
      tolerance: stop when no coordinate of any task changes by more than this share of the task's largest.
      most_steps: stop after this many steps in any case.

    References:
      Böhning, "Multinomial logistic regression algorithm", 1992: the bound (1/2) X'X of the Hessian.
      O'Donoghue and Candès, "Adaptive restart for accelerated gradient schemes", 2015.
    """
    tasks, count, dim = tf.unstack(tf.shape(examples))
    ways = tf.shape(targets)[2]
    penalty = tf.reshape(tf.cast(penalty, examples.dtype), [-1, 1, 1])
    roots = tf.ones([tasks, count, 1], examples.dtype)
    if example_weights is not None:
        roots = tf.sqrt(example_weights)[..., tf.newaxis]
    mean = tf.zeros([tasks, 1, dim], examples.dtype)
    total = tf.reduce_sum(roots**2, axis=1, keepdims=True)
    if has_bias:  # of centred examples, the bound of D and that of b are independent
        mean = tf.reduce_sum(roots**2 * examples, axis=1, keepdims=True) / total
        examples -= mean
    scaled = roots * examples

    def solve(forward: tf.Tensor, backward: tf.Tensor | None, bound: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Descend over u, where logits are forward @ u + b and the gradient is backward @ residual + penalty u."""
        size = tf.shape(bound)[1]
        inverse = tf.linalg.inv(0.5 * bound + penalty * tf.eye(size, dtype=bound.dtype))

        def step(number: Any, u: Any, b: Any, logits: Any, speed: Any, ahead: Any, _: Any) -> tuple[Any, ...]:
            ahead_u, ahead_b, ahead_logits = ahead
            residual = roots * (tf.nn.softmax(offset + ahead_logits) - targets)
            gradient = penalty * ahead_u + (residual if backward is None else tf.matmul(backward, residual))
            new_u = ahead_u - tf.matmul(inverse, gradient)
            new_b = ahead_b - tf.reduce_sum(roots * residual, axis=1, keepdims=True) / (0.5 * total) * has_bias
            new_logits = tf.matmul(forward, new_u) + new_b
            back = tf.reduce_sum((ahead_u - new_u) * (new_u - u), axis=[1, 2], keepdims=True) > 0
            speed = tf.where(back, tf.ones_like(speed), speed)
            faster = (1 + tf.sqrt(1 + 4 * speed**2)) / 2
            share = tf.where(back, tf.zeros_like(speed), (speed - 1) / faster)
            ahead = tuple(new + share * (new - old) for new, old in ((new_u, u), (new_b, b), (new_logits, logits)))
            largest = tf.reduce_max(tf.abs(new_u), axis=[1, 2])
            error = tf.math.divide_no_nan(tf.reduce_max(tf.abs(new_u - u), axis=[1, 2]), largest)
            return number + 1, new_u, new_b, new_logits, faster, ahead, error

        u, b = tf.zeros([tasks, size, ways], bound.dtype), tf.zeros([tasks, 1, ways], bound.dtype)
        logits = tf.zeros([tasks, count, ways], bound.dtype)
        one = tf.ones([tasks, 1, 1], bound.dtype)
        start = tf.constant(0), u, b, logits, one, (u, b, logits), tf.ones([tasks], bound.dtype)

        def unfinished(number: Any, *state: Any) -> tf.Tensor:
            return tf.logical_and(number < most_steps, tf.reduce_any(state[-1] > tolerance))

        _, u, b, *_, error = tf.while_loop(unfinished, step, start)
        return u, b, error

    def by_examples() -> tuple[tf.Tensor, ...]:
        u, b, error = solve(
            tf.matmul(examples, scaled, transpose_b=True), None, tf.matmul(scaled, scaled, transpose_b=True)
        )
        return tf.matmul(u, scaled, transpose_a=True), b, error

    def by_dimensions() -> tuple[tf.Tensor, ...]:
        backward = tf.linalg.matrix_transpose(scaled)
        u, b, error = solve(examples, backward, tf.matmul(backward, scaled))
        return tf.linalg.matrix_transpose(u), b, error

    if examples.shape[1] is None or examples.shape[2] is None:
        weights, bias, error = tf.cond(count <= dim, by_examples, by_dimensions)
    else:
        weights, bias, error = by_examples() if examples.shape[1] <= examples.shape[2] else by_dimensions()
    bias = bias[:, 0] - tf.linalg.matvec(weights, mean[:, 0])
    return SoftmaxFit(weights, bias, error)


def corrected(
    classifier: tf.Tensor, examples: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, penalty: Any
) -> tf.Tensor:
    """Add to a classifier [tasks, ways, dim + 1] the weights that fit the support best, given it and a penalty.

    See `fit_softmax` for the rest.
    """
    offset = tf.matmul(examples, classifier[..., :-1], transpose_b=True) + classifier[:, tf.newaxis, :, -1]
    fitted = fit_softmax(examples, targets, penalty, weights, offset, tolerance=1e-3, most_steps=60)
    return classifier + tf.pad(fitted.weights, [[0, 0], [0, 0], [0, 1]])
