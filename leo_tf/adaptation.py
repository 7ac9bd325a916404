"""The two inner loops of LEO: gradient descent on latent codes, then on the parameters they decode to.

Generic: the caller provides the functions that decode latents and that compute losses. Tensors have a leading axis of
tasks; a loss is summed over tasks, so that its gradient is every task's own. Both loops are differentiable to second
order, as their updates are plain tensor arithmetic.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

Loss = Callable[[tf.Tensor, int], tf.Tensor]  # (values, step) -> scalar, summed over tasks and examples


class Trajectory(NamedTuple):
    """Codes and parameters during adaptation."""

    latents: list[tf.Tensor]  # S + 1 codes [tasks, ...]
    parameters: list[tf.Tensor]  # F + 1 parameters [tasks, ...]; the first is the decoded last code


def descend(
    values: tf.Tensor, loss_of: Loss, learning_rate: Any, steps: int, first_order: bool = False, norm_limit: float = 0.0
) -> list[tf.Tensor]:
    """Take gradient steps v <- v - learning_rate * dL/dv.

    Args:
      values: initial values, [tasks, ...].
      loss_of: function (values, step) -> loss, a scalar summed over tasks and examples (equation 5).
      learning_rate: tensor that broadcasts against `values`; meta-learned, one rate per dimension.
      steps: number of steps, int; unrolled.
      first_order: treat dL/dv as constant in the meta-gradient; the forward pass is the same.
      norm_limit: clip each task's gradient to this norm; 0 for no clipping. Needed for losses that grow without bound,
        such as squared errors.

    Returns:
      List of steps + 1 tensors of the values' shape: the initial values, then the values after each step.
    """
    path = [values]
    for step in range(steps):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = loss_of(values, step)
        gradient = _clipped(tape.gradient(loss, values), norm_limit)
        values = values - learning_rate * (tf.stop_gradient(gradient) if first_order else gradient)
        path.append(values)
    return path


def _clipped(gradient: tf.Tensor, norm_limit: float) -> tf.Tensor:
    if not norm_limit:
        return gradient
    squares = tf.reduce_sum(gradient**2, axis=range(1, gradient.shape.rank), keepdims=True)
    return gradient * tf.math.rsqrt(tf.maximum(squares / norm_limit**2, 1.0))


def adapt(
    latents: tf.Tensor,
    decode: Callable[[tf.Tensor, int], tf.Tensor],
    loss: Loss,
    fine_tune: Callable[[tf.Tensor, Loss], list[tf.Tensor]],
    learning_rate: Any,
    steps: int,
    first_order: bool = False,
    norm_limit: float = 0.0,
    latent_loss: Loss | None = None,
) -> Trajectory:
    """Adapt in latent space, decode, then fine-tune the decoded parameters.

    Steps are numbered from 0 through both loops, so that `decode` and `loss` can use fresh noise in each: latent steps
    0..S-1 decode and compute the loss with that step's noise; the decode after the last latent step is number S;
    fine-tuning steps are S..S+F-1, and the first of them uses the parameters of that last decode.

    Args:
      latents: initial codes [tasks, ...].
      decode: function (latents, step) -> parameters [tasks, ...].
      loss: function (parameters, step) -> scalar summed over tasks and support examples.
      fine_tune: function (parameters, loss) -> list of parameters [tasks, ...]: these, and those after each step.
      learning_rate: of the latent steps; a tensor that broadcasts against latents.
      steps: number of latent steps S, at least 0.
      first_order, norm_limit: as in `descend`, for the latent steps.
      latent_loss: function (latents, step) -> loss(decode(latents, step), step), where there is a faster way to it.

    Returns:
      Trajectory.

    References:
      Paper algorithm 1, lines 8-12, and section 4.2.3 for fine-tuning.
    """
    if latent_loss is None:

        def latent_loss(z: tf.Tensor, step: int) -> tf.Tensor:
            return loss(decode(z, step), step)

    codes = descend(latents, latent_loss, learning_rate, steps, first_order, norm_limit)
    parameters = fine_tune(decode(codes[-1], steps), lambda theta, step: loss(theta, steps + step))
    return Trajectory(codes, parameters)
