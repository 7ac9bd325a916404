"""What happens to a meta-gradient before the optimiser sees it: the NaN guard, then the two limits."""

import tensorflow as tf

_PULL = 1e-4


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
