"""All the noise of a stochastic pass over classification tasks, drawn ahead in one call; and codes from the prior.

The draw is kept apart from the model's arithmetic so that the latter is a pure function, compiles with XLA (which draws
random numbers slowly on CPU, and other ones), and can be tested with noise written by hand.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from leo_tf import randomness


class Noise(NamedTuple):
    """Standard normal numbers and dropout masks (True keeps) of one meta-batch.

    The normal fields are None if the model is not stochastic, the masks without dropout.
    """

    latents: tf.Tensor | None  # [tasks, ways, copies, num_latents]; copies: codes_per_class
    weights: tf.Tensor | None  # [tasks, latent steps + 1, ways, copies, dim]: one for each decode
    support_masks: tf.Tensor | None  # [tasks, 1 + latent and fine-tuning steps, ways, shots, dim]: encoder, then losses
    query_mask: tf.Tensor | None  # [tasks, ways, queries, dim]

    def support_mask(self, use):
        """Return the mask of the support's use number `use` (0: encoder, 1 + step: inner losses), or None."""
        return None if self.support_masks is None else self.support_masks[:, use]


class RandomBits(NamedTuple):
    """The random bits that Noise is made of."""

    normals: tf.Tensor | None  # uint16 [tasks, numbers]
    masks: tf.Tensor | None  # uint8 [tasks, numbers]


class NoiseSpec(NamedTuple):
    """What a pass needs noise for."""

    num_latents: int  # 0: nothing is sampled
    copies: int  # codes of a class
    decodes: int  # how often codes are decoded
    steps: int  # inner losses, each with a dropout of its own
    dropout_rate: float


def draw_bits(needs, episode, seed, first_task):
    """Draw the random bits that the noise of an episode is made of.

    Args:
      needs: NoiseSpec.
      episode: Episode of static shape.
      seed: [2] from `randomness.stream_seed`.
      first_task: index of the episode's first task in the run, scalar integer.

    Returns:
      RandomBits.
    """

    def draw(shapes, dtype):
        count = sum(map(math.prod, shapes))
        return randomness.bits(seed, first_task, episode.support_x.shape[0], count, dtype)

    normals, masks = _shapes(needs, episode)
    return RandomBits(
        draw(normals, tf.uint16) if needs.num_latents else None, draw(masks, tf.uint8) if needs.dropout_rate else None
    )


def noise_from_bits(needs, episode, bits):
    """Turn `draw_bits`' result into Noise of the episode's dtype."""
    normal_shapes, mask_shapes = _shapes(needs, episode)
    normals = masks = [None, None]
    if bits.normals is not None:
        normals = [randomness.normal(part, episode.support_x.dtype) for part in _parts(bits.normals, normal_shapes)]
    if bits.masks is not None:
        masks = [randomness.keep_mask(part, needs.dropout_rate) for part in _parts(bits.masks, mask_shapes)]
    return Noise(*normals, *masks)


def _parts(bits, shapes):
    parts = tf.split(bits, [math.prod(shape) for shape in shapes], axis=1)
    return [tf.reshape(part, [-1, *shape]) for part, shape in zip(parts, shapes, strict=True)]


def _shapes(needs, episode):
    """Return the shapes, for one task, of Noise's two normal fields and of its two masks."""
    _, ways, shots, dim = episode.support_x.shape
    normals = [(ways, needs.copies, needs.num_latents), (needs.decodes, ways, needs.copies, dim)]
    return normals, [(1 + needs.steps, ways, shots, dim), tuple(episode.query_x.shape[1:])]


def dropout(inputs, mask, rate):
    """Zero the dropped elements and scale the kept ones by the exact inverse of the keep probability.

    Args:
      inputs: float tensor.
      mask: bool tensor of the same shape, True where kept; None changes nothing.
      rate: the rate the mask was drawn with.
    """
    if mask is None:
        return inputs
    return tf.where(mask, inputs * (1.0 / randomness.keep_probability(rate)), 0.0)


def prior_codes(tasks, ways, num_latents, variance):
    """Return the codes from the prior that evaluation starts from, [tasks, ways, num_latents].

    Ours, as the paper does not say: the prior's mean, 0, decodes to the same weights for every class, from where no
    gradient separates codes by what a code means; so class n of every task has the same fixed draw, a function of n
    alone. The mean of K draws is a draw at 1/sqrt(K) the spread.

    Args:
      tasks, ways: ints or scalar tensors.
      num_latents: int.
      variance: of the codes, one over the codes of a class, a tensor; broadcasts against [tasks, ways, 1].
    """
    seed = randomness.stream_seed(0, randomness.PRIOR_CODES)
    codes = randomness.normal(randomness.bits(seed, 0, ways, num_latents, tf.uint16), variance.dtype)
    return tf.broadcast_to(tf.sqrt(variance) * codes, [tasks, ways, num_latents])
