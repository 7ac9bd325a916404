"""From pixels to the network's input: the one preprocessing of training, extraction, prediction and export.

All of it is in TensorFlow, so that an exported model does the same.
"""

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf.errors import InputError
from leo_tf.features.augmentation import drawing_views
from leo_tf.features.settings import CROPS, IMAGENET, ImageConfig

_COLORS = ("rgb", "bgr", "grey")
_GREY = ((127.5,), (127.5,))
_MAX_SIDE = 10_000  # pixels: corrupt metadata must not use up the memory
_INK = 128  # darker pixels are ink
_MARGIN, _MIN_SIDE = 0.1, 0.25  # of a crop to ink: share of the drawing, and of the image's shorter side


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The steps from 8-bit RGB [height, width, 3] to the network's input."""

    resize_size: int  # side of the resized square, at least image_size
    image_size: int  # side of the network's input
    color: str = "rgb"  # order of the channels: "rgb", "bgr" or "grey"
    mean: tuple[float, ...] = IMAGENET[0]  # per channel: a pixel x in 0..255 becomes (x - mean) / scale
    scale: tuple[float, ...] = IMAGENET[1]
    crop: str = "center"  # the square that is resized; "ink": around the pixels darker than middle grey, for drawings

    def __post_init__(self) -> None:
        for name in ("mean", "scale"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        if self.color not in _COLORS or len(self.mean) != self.channels or len(self.scale) != self.channels:
            raise InputError(
                f"Got color {self.color!r}, mean {self.mean} and scale {self.scale}; expected one of "
                f"{', '.join(_COLORS)}, and a number per channel."
            )
        if self.crop not in CROPS:
            raise InputError(f"Got crop {self.crop!r}; expected {' or '.join(CROPS)}.", "crop")
        sizes = self.image_size, self.resize_size
        if not all(isinstance(size, int | np.integer) for size in sizes) or not 1 <= sizes[0] <= sizes[1] <= _MAX_SIDE:
            raise InputError(
                f"Got image_size={self.image_size!r:.80} and resize_size={self.resize_size!r:.80}; expected whole "
                f"numbers, 1 <= image_size <= resize_size <= {_MAX_SIDE}.",
                *("image_size", "resize_size"),
            )

    @classmethod
    def of_config(cls, images: ImageConfig) -> "Preprocessing":
        """Return the Preprocessing that the settings describe."""
        mean, scale = _GREY if images.color == "grey" else IMAGENET
        resize_size = images.resize_size or round(images.image_size * 1.15)
        return cls(resize_size, images.image_size, images.color, mean, scale, images.crop)

    @property
    def channels(self) -> int:
        return 1 if self.color == "grey" else 3

    def to_json(self) -> dict[str, Any]:
        """Return a dict for JSON; Preprocessing(**dict) reads it back."""
        return dataclasses.asdict(self) | {"mean": list(self.mean), "scale": list(self.scale)}

    def square(self, pixels: tf.Tensor) -> tf.Tensor:
        """Crop and resize uint8 [height, width, 3] to uint8 [resize_size, resize_size, channels]."""
        # Cropped first: a resized image of 1 x 10,000 pixels would use up the memory.
        pixels = tf.cast(crop_to_ink(pixels) if self.crop == "ink" else _crop_to_center(pixels), tf.float32)
        if self.color == "grey":
            pixels = tf.image.rgb_to_grayscale(pixels)
        elif self.color == "bgr":
            pixels = pixels[..., ::-1]
        pixels = tf.image.resize(pixels, [self.resize_size] * 2, antialias=True)
        pixels = tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)
        return tf.ensure_shape(pixels, [self.resize_size, self.resize_size, self.channels])

    def views(self, squares: tf.Tensor, views: str = "center") -> tf.Tensor:
        """Return the network's inputs, float32 [n, 1, 10 or 16, image_size, image_size, channels], for squares.

        "multiview" (paper section 4.2.1) has the four corners, the centre, and their mirror images; "drawing" the
        centre, and others slightly rotated, sheared, scaled and moved, the same for every image.
        """
        size, last = self.image_size, self.resize_size - self.image_size
        if views == "drawing":
            return self.scaled(drawing_views(squares, size))
        middle = last // 2
        corners = [(middle, middle)]
        if views == "multiview":
            corners += [(0, 0), (0, last), (last, 0), (last, last)]
        crops = [squares[:, top : top + size, left : left + size] for top, left in corners]
        if views == "multiview":
            crops += [crop[:, :, ::-1] for crop in crops]
        return self.scaled(tf.stack(crops, axis=1))

    def scaled(self, pixels: tf.Tensor) -> tf.Tensor:
        """Return (pixels - mean) / scale, float32, of pixels [..., channels] in 0..255."""
        return (tf.cast(pixels, tf.float32) - tf.constant(self.mean)) / tf.constant(self.scale)


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, values))
    except (TypeError, ValueError, OverflowError):
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)) or (name == "scale" and 0 in numbers):
        what = "finite numbers, none of them 0" if name == "scale" else "finite numbers"
        raise InputError(f"Got {name} {values!r:.80}; expected {what}.")
    return numbers


def _crop_to_center(pixels: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(pixels)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]


def crop_to_ink(pixels: tf.Tensor) -> tf.Tensor:
    """Return the square around the dark pixels of uint8 [height, width, 3], padded with white beyond the edges.

    Its side is at least a quarter of the image's shorter one. Without dark pixels it is the centre square.
    """
    dark = tf.reduce_min(pixels, axis=-1) < _INK
    shape = tf.shape(pixels)
    spans = [tf.cast(tf.where(tf.reduce_any(dark, axis=axis))[:, 0], tf.int32) for axis in (1, 0)]

    def cut() -> tf.Tensor:
        firsts, ends = [span[0] for span in spans], [span[-1] + 1 for span in spans]
        size = tf.cast(tf.maximum(ends[0] - firsts[0], ends[1] - firsts[1]), tf.float32)
        min_side = _MIN_SIDE * tf.cast(tf.minimum(shape[0], shape[1]), tf.float32)
        side = tf.cast(tf.math.ceil(tf.maximum(size * (1 + 2 * _MARGIN), min_side)), tf.int32)
        starts = [(first + end - side) // 2 for first, end in zip(firsts, ends, strict=True)]
        before = [tf.maximum(0, -start) for start in starts]
        after = [tf.maximum(0, start + side - shape[i]) for i, start in enumerate(starts)]
        inside = pixels[
            starts[0] + before[0] : starts[0] + side - after[0], starts[1] + before[1] : starts[1] + side - after[1]
        ]
        edges = [[before[0], after[0]], [before[1], after[1]], [0, 0]]
        return tf.pad(inside, edges, constant_values=tf.constant(255, pixels.dtype))

    return tf.cond(tf.size(spans[0]) > 0, cut, lambda: _crop_to_center(pixels))


def decode(content: tf.Tensor) -> tf.Tensor:
    """Decode a scalar string of plain JPEG or PNG to uint8 [height, width, 3]."""
    pixels = tf.cond(
        tf.io.is_jpeg(content),  # the fast transform differs by a few grey levels from the accurate one
        lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_png(content, channels=3),
    )
    return tf.ensure_shape(pixels, [None, None, 3])
