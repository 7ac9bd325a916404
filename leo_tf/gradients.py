"""The way of a meta-gradient: loss, gradient, NaN guard, two limits, optimizer. The one place for it."""

from typing import Any, NamedTuple

import tensorflow as tf

_PULL = 1e-4


class Limits(NamedTuple):
    """Limits of a meta-gradient; 0 for none."""

    value: float = 0.1  # of every element's absolute value
    norm: float = 0.1  # of every variable's L2 norm


class Update(NamedTuple):
    """What an update reports."""

    norms: tf.Tensor  # [variables], L2 norm of every variable's gradient before guard and limits
    replaced: tf.Tensor  # scalar bool: whether the guard replaced the gradient


def meta_gradient(loss_of, variables):
    """Compute a loss and its gradient.

    Args:
      loss_of: function () -> outcome, which has a field `loss`, a scalar.
      variables: list of Keras variables.

    Returns:
      (outcome, gradients): a gradient for every variable, zeros where the loss does not depend on it, as on the
      learning rate of steps that are not taken.
    """
    values = [variable.value for variable in variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        for value in values:
            tape.watch(value)
        outcome = loss_of()
    return outcome, tape.gradient(outcome.loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def apply(optimizer, variables, num_matrices, loss, gradients, limits, replicas=1):
    """Guard, limit and apply a gradient.

    Args:
      optimizer: Keras optimizer, built for the variables.
      variables, num_matrices: as in `guard`.
      loss, gradients: from `meta_gradient`; equal on all replicas.
      limits: Limits.
      replicas: number of replicas; Keras' optimizers sum over them what they are given.

    Returns:
      Update.
    """
    update_norms = norms(gradients)
    gradients, replaced = guard(loss, gradients, variables, num_matrices)
    gradients = clip(gradients, *limits)
    optimizer.apply([value / replicas for value in gradients] if replicas > 1 else gradients, variables)
    return Update(update_norms, replaced)


def meta_step(loss_of, optimizer, variables, num_matrices, limits) -> tuple[Any, Update]:
    """Take one step on one device: `meta_gradient`, then `apply`.

    Returns:
      (outcome, Update).
    """
    outcome, gradients = meta_gradient(loss_of, variables)
    return outcome, apply(optimizer, variables, num_matrices, outcome.loss, gradients, limits)


def guard(loss, gradients, variables, num_matrices):
    """Replace the gradient if the loss or any element of it is NaN.

    The replacement, 1e-4 times the weight on matrices and 0 on learning rates, pulls the weights back to where the loss
    is a number again; one bad element replaces the whole list.

    Args:
      loss: scalar.
      gradients, variables: lists of equal length and shapes.
      num_matrices: how many of the variables, from the first on, are weight matrices; the others are learning rates.

    Returns:
      (gradients, replaced): the list to use, and a scalar bool.

    References:
      The official code. Differs from deepmind/leo: the pull does not divide by the L2 weight, which may be 0.
    """
    replaced = tf.reduce_any([tf.reduce_any(tf.math.is_nan(value)) for value in [loss, *gradients]])
    pulls = [_PULL * v if i < num_matrices else tf.zeros_like(v) for i, v in enumerate(variables)]
    return [tf.where(replaced, pull, g) for pull, g in zip(pulls, gradients, strict=True)], replaced


def clip(gradients, value_limit, norm_limit):
    """Limit every element's absolute value, then every variable's L2 norm, in this order.

    Args:
      gradients: list of tensors.
      value_limit, norm_limit: floats; 0 for no limit.

    Returns:
      List of tensors.

    References:
      Paper B.4 and the official code; the norm is each variable's own, not the global one.
    """
    if value_limit:
        gradients = [tf.clip_by_value(gradient, -value_limit, value_limit) for gradient in gradients]
    if norm_limit:
        gradients = [tf.clip_by_norm(gradient, norm_limit) for gradient in gradients]
    return gradients


def norms(gradients):
    """Return the L2 norm of every gradient, [len(gradients)]."""
    return tf.stack([tf.norm(gradient) for gradient in gradients])
