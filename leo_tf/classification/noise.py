"""Noise of a stochastic pass over classification tasks, drawn ahead."""

import math
from typing import Any, NamedTuple

import tensorflow as tf

from leo_tf import randomness
from leo_tf.data.episodes import Episode


class NoiseSpec(NamedTuple):
    """Amount of noise that a stochastic pass over one task takes."""

    num_latents: int  # 0: nothing is sampled
    codes_per_class: int
    decodes: int  # number of times that codes are decoded
    steps: int  # number of inner losses, each with its own dropout mask
    dropout_rate: float


RandomBits = tuple[tf.Tensor | None, tf.Tensor | None]  # of normals and masks, uint16 and uint8 [tasks, numbers]


class Noise(NamedTuple):
    """Standard normal numbers and dropout masks (True keeps) of one meta-batch.

    The normal fields are None if the model is not stochastic, the masks if there is no dropout. All are drawn ahead, so
    that the model is a pure function of them, compiles with XLA, and can be tested with noise written by hand.
    """

    latents: Any  # [tasks, ways, codes per class, num_latents]
    weights: Any  # [tasks, latent steps + 1, ways, codes per class, dim]: one for each decode
    support_masks: Any  # [tasks, 1 + latent and fine-tuning steps, ways, shots, dim]: encoder, then losses
    query_mask: Any  # [tasks, ways, queries, dim]

    def support_mask(self, use: int) -> tf.Tensor | None:
        """Return the mask of the support's use number `use` (0: encoder, 1 + step: inner losses), or None."""
        return None if self.support_masks is None else self.support_masks[:, use]


def draw_bits(spec: NoiseSpec, episode: Episode, seed: tf.Tensor, first_task: Any) -> RandomBits:
    """Draw the random bits of a pass over an Episode; see `MetaLearner.draw_bits`."""

    def draw(shapes: list[tuple[int, ...]], dtype: tf.DType) -> tf.Tensor:
        count = sum(map(math.prod, shapes))
        return randomness.bits(seed, first_task, episode.support_x.shape[0], count, dtype)

    normals, masks = _shapes(spec, episode)
    of_normals = draw(normals, tf.uint16) if spec.num_latents else None
    return of_normals, draw(masks, tf.uint8) if spec.dropout_rate else None


def noise_from_bits(spec: NoiseSpec, episode: Episode, bits: RandomBits) -> Noise:
    """Turn the result of `draw_bits` into Noise of the episode's dtype."""
    normals, masks = (_split(*each) for each in zip(bits, _shapes(spec, episode), strict=True))
    return Noise(
        *(part if part is None else randomness.normal(part, episode.support_x.dtype) for part in normals),
        *(part if part is None else randomness.keep_mask(part, spec.dropout_rate) for part in masks),
    )


def dropout(inputs: tf.Tensor, mask: tf.Tensor | None, rate: float) -> tf.Tensor:
    """Zero the dropped elements and scale the kept ones by the exact inverse of the keep probability.

    `mask` is True where an element is kept, and was drawn with `rate`; None changes nothing.
    """
    if mask is None:
        return inputs
    return tf.where(mask, inputs * (1.0 / randomness.keep_probability(rate)), 0.0)


def _split(bits: tf.Tensor | None, shapes: list[tuple[int, ...]]) -> list[Any]:
    if bits is None:
        return [None] * len(shapes)
    parts = tf.split(bits, [math.prod(shape) for shape in shapes], axis=1)
    return [tf.reshape(part, [-1, *shape]) for part, shape in zip(parts, shapes, strict=True)]


def _shapes(spec: NoiseSpec, episode: Episode) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the shapes, for one task, of the two normal fields of Noise and of its two masks."""
    _, ways, shots, dim = episode.support_x.shape
    codes = (ways, spec.codes_per_class)
    normals = [(*codes, spec.num_latents), (spec.decodes, *codes, dim)]
    return normals, [(1 + spec.steps, ways, shots, dim), tuple(episode.query_x.shape[1:])]
