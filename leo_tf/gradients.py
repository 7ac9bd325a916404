"""The meta-gradient: loss, gradient, NaN guard, clipping, optimizer. This is the only place for it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

_PULL = 1e-4


class Limits(NamedTuple):
    """Clipping thresholds of a meta-gradient; 0 for no clipping."""

    value: float = 0.1  # of every element's absolute value
    norm: float = 0.1  # of every variable's L2 norm


def meta_gradient(loss_of: Callable[[], Any], variables: Sequence[Any]) -> tuple[Any, list[tf.Tensor]]:
    """Compute an outcome, which has a field `loss`, and the gradient of this loss for every Keras variable.

    A gradient is zero where the loss does not depend on the variable, such as the learning rate of steps not taken.
    """
    values = [variable.value for variable in variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        for value in values:
            tape.watch(value)
        outcome = loss_of()
    return outcome, tape.gradient(outcome.loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def apply(
    optimizer: Any,
    variables: Sequence[Any],
    num_regularized: int,
    loss: tf.Tensor,
    gradients: list[tf.Tensor],
    limits: Limits,
    replicas: int = 1,
) -> dict[str, tf.Tensor]:
    """Guard, clip and apply a gradient, equal on all replicas, over which Keras' optimizers sum it.

    Returns float32 `gradient_norms` [variables], before guard and clipping; `nan_steps` is 1 if the guard replaced it.
    """
    update_norms = norms(gradients)
    gradients, replaced = guard(loss, gradients, variables, num_regularized)
    gradients = clip(gradients, *limits)
    optimizer.apply([value / replicas for value in gradients] if replicas > 1 else gradients, variables)
    return {"gradient_norms": tf.cast(update_norms, tf.float32), "nan_steps": tf.cast(replaced, tf.float32)}


def meta_step(
    loss_of: Callable[[], Any], optimizer: Any, variables: Sequence[Any], num_regularized: int, limits: Limits
) -> tuple[Any, dict[str, tf.Tensor]]:
    """Take one step on one device: `meta_gradient`, then `apply`; return the outcome and the metrics of the update."""
    outcome, gradients = meta_gradient(loss_of, variables)
    return outcome, apply(optimizer, variables, num_regularized, outcome.loss, gradients, limits)


def guard(
    loss: tf.Tensor, gradients: list[tf.Tensor], variables: Sequence[Any], num_regularized: int
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Replace the gradient if the loss or any element of it is NaN.

    The replacement, 1e-4 times the variable for regularized weights, which come first, and 0 for the others, pulls the
    weights back to where the loss is a number again. Returns the gradients to use, and whether they were replaced.

    References:
      The official code. Differs from deepmind/leo: the pull does not divide by the L2 weight, which may be 0.
    """
    replaced = tf.reduce_any([tf.reduce_any(tf.math.is_nan(value)) for value in [loss, *gradients]])
    pulls = [_PULL * v if i < num_regularized else tf.zeros_like(v) for i, v in enumerate(variables)]
    return [tf.where(replaced, pull, g) for pull, g in zip(pulls, gradients, strict=True)], replaced


def clip(gradients: list[tf.Tensor], value_limit: float, norm_limit: float) -> list[tf.Tensor]:
    """Clip every element's absolute value, then every variable's L2 norm, in this order; a limit of 0 does not clip.

    References:
      Paper B.4 and the official code; the norm is each variable's own, not the global one.
    """
    if value_limit:
        gradients = [tf.clip_by_value(gradient, -value_limit, value_limit) for gradient in gradients]
    if norm_limit:
        gradients = [tf.clip_by_norm(gradient, norm_limit) for gradient in gradients]
    return gradients


def norms(gradients: list[tf.Tensor]) -> tf.Tensor:
    """Return the L2 norm of every gradient, [len(gradients)]."""
    return tf.stack([tf.norm(gradient) for gradient in gradients])
