"""All the noise of a stochastic pass through LEO, drawn ahead in two calls.

Kept apart from the model's arithmetic so that the latter is a pure function, compiles with XLA (which draws random
numbers slowly on CPU, and other ones), and can be tested with noise written by hand.
"""

from typing import NamedTuple

import tensorflow as tf

from leo_tf import randomness


class Noise(NamedTuple):
    """Standard normal numbers and dropout masks (True keeps) of one meta-batch; masks are None without dropout."""

    latents: tf.Tensor  # [tasks, ways, shots, num_latents]
    weights: tf.Tensor  # [tasks, latent steps + 1, ways, shots, dim]: one for each decode
    support_masks: tf.Tensor | None  # [tasks, 1 + latent and fine-tuning steps, ways, shots, dim]: encoder, then losses
    query_mask: tf.Tensor | None  # [tasks, ways, queries, dim]

    def support_mask(self, use):
        """Return the mask of the support's use number `use` (0: encoder, 1 + step: inner losses), or None."""
        return None if self.support_masks is None else self.support_masks[:, use]


def draw_noise(config, shape, seed, first_task, dtype=tf.float32):
    """Draw the noise of consecutive tasks.

    Args:
      config: LEOConfig.
      shape: (tasks, ways, shots, queries, dim), ints.
      seed: [2] from `randomness.stream_seed`.
      first_task: index of the first task in the run, scalar integer.
      dtype: of the normal numbers, which are drawn in float32 and cast, to be the same in float64.

    Returns:
      Noise.
    """
    tasks, ways, shots, queries, dim = shape
    decodes = config.inner_unroll_length + 1
    passes = 1 + config.inner_unroll_length + config.finetuning_unroll_length
    latents, weights = _pack(
        lambda count: tf.cast(randomness.normal(seed, first_task, tasks, count), dtype),
        [(ways, shots, config.num_latents), (decodes, ways, shots, dim)],
    )
    if not config.dropout_rate:
        return Noise(latents, weights, None, None)
    support_masks, query_mask = _pack(
        # The masks' words must not repeat the normals' words, so they come from a seed of their own.
        lambda count: randomness.keep_mask(seed + [0, 1 << 32], first_task, tasks, count, config.dropout_rate),
        [(passes, ways, shots, dim), (ways, queries, dim)],
    )
    return Noise(latents, weights, support_masks, query_mask)


def _pack(draw_flat, shapes):
    """Draw once for each task and cut the row into tensors [tasks, *shape]."""
    sizes = [_product(shape) for shape in shapes]
    parts = tf.split(draw_flat(sum(sizes)), sizes, axis=1)
    return [tf.reshape(part, [-1, *shape]) for part, shape in zip(parts, shapes, strict=True)]


def _product(numbers):
    result = 1
    for number in numbers:
        result *= number
    return result


def dropout(inputs, mask, rate):
    """Zero the dropped elements and scale the kept ones by the exact inverse of the keep probability.

    Args:
      inputs: float tensor.
      mask: bool tensor of the same shape, True where kept; None changes nothing.
      rate: the rate the mask was drawn with.
    """
    if mask is None:
        return inputs
    scale = tf.constant(1.0 / randomness.keep_probability(rate), inputs.dtype)
    return inputs * (tf.cast(mask, inputs.dtype) * scale)
