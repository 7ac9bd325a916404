"""The two inner loops of LEO: gradient descent on latent codes, then on the parameters they decode to.

Generic: what a latent decodes to and how parameters are judged are the caller's functions. Tensors carry a leading axis
of tasks; a loss sums over tasks, so that its gradient is every task's own. Both loops are differentiable to second
order through their updates, which are plain tensor arithmetic.
"""

from typing import NamedTuple

import tensorflow as tf


class Path(NamedTuple):
    """What adaptation goes through, from start to end."""

    latents: list[tf.Tensor]  # S + 1 codes [tasks, ...]
    parameters: list[tf.Tensor]  # F + 1 parameters [tasks, ...], the first what the last codes decode to


def descend(values, loss_of, learning_rate, steps, first_order=False, norm_limit=0.0):
    """Take gradient steps v <- v - learning_rate * dL/dv.

    Args:
      values: where to start, [tasks, ...].
      loss_of: function (values, step) -> loss, a scalar summed over tasks and examples (equation 5).
      learning_rate: tensor that broadcasts against `values`; meta-learned, one rate a dimension.
      steps: number of steps, int; unrolled.
      first_order: hold dL/dv constant in the meta-gradient; what is computed forward is the same.
      norm_limit: a task's gradient is scaled down to this norm where it is longer; 0 for no limit. Keeps losses that
        grow without bound, as squared errors do, from throwing a task out of all reach.

    Returns:
      List of steps + 1 tensors of the values' shape: the start, then the values after each step.
    """
    path = [values]
    for step in range(steps):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = loss_of(values, step)
        gradient = _limited(tape.gradient(loss, values), norm_limit)
        values = values - learning_rate * (tf.stop_gradient(gradient) if first_order else gradient)
        path.append(values)
    return path


def _limited(gradient, norm_limit):
    if not norm_limit:
        return gradient
    squares = tf.reduce_sum(gradient**2, axis=range(1, gradient.shape.rank), keepdims=True)
    return gradient * tf.math.rsqrt(tf.maximum(squares / norm_limit**2, 1.0))


def adapt(
    latents,
    decode,
    loss,
    latent_learning_rate,
    latent_steps,
    parameter_learning_rate,
    parameter_steps,
    first_order=False,
    norm_limit=0.0,
):
    """Adapt in latent space, decode, then fine-tune the decoded parameters.

    Steps are numbered from 0 through both loops, so that `decode` and `loss` can use fresh noise in each: latent steps
    0..S-1 decode and judge with step's noise; the decode after the last latent step is number S; fine-tuning steps are
    S..S+F-1, of which the first judges exactly what that last decode gave.

    Args:
      latents: initial codes [tasks, ...].
      decode: function (latents, step) -> parameters [tasks, ...].
      loss: function (parameters, step) -> scalar summed over tasks and support examples.
      latent_learning_rate, parameter_learning_rate: tensors that broadcast against latents and parameters.
      latent_steps, parameter_steps: S and F, ints of at least 0.
      first_order, norm_limit: as in `descend`.

    Returns:
      Path.

    References:
      Paper algorithm 1, lines 8-12, and section 4.2.3 for fine-tuning.
    """
    codes = descend(
        latents,
        lambda z, step: loss(decode(z, step), step),
        latent_learning_rate,
        latent_steps,
        first_order,
        norm_limit,
    )
    parameters = descend(
        decode(codes[-1], latent_steps),
        lambda theta, step: loss(theta, latent_steps + step),
        parameter_learning_rate,
        parameter_steps,
        first_order,
        norm_limit,
    )
    return Path(codes, parameters)
