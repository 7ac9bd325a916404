"""From pixels to what a network takes: the one preprocessing of training, extraction, prediction and export.

Centre square, resized with antialiasing to `resize_size` and rounded to 8 bits; from it the centre `image_size`, or ten
crops of that size; then colour, mean and scale. All of it in TensorFlow, so that an exported model does the same.
"""

import dataclasses
from typing import Any

import tensorflow as tf

from leo_tf.errors import InputError
from leo_tf.features.augmentation import drawing_views

COLORS = ("rgb", "bgr", "grey")
VIEWS = ("center", "multiview", "drawing")
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # mean and standard deviation of the colours
GREY = ((127.5,), (127.5,))


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What is done to 8-bit RGB [height, width, 3].

    Attributes:
      resize_size: side of the resized square, at least image_size.
      image_size: side of what the network takes.
      color: order of the channels: "rgb", "bgr" or "grey".
      mean, scale: for each channel; a pixel x in 0..255 becomes (x - mean) / scale.
    """

    resize_size: int
    image_size: int
    color: str = "rgb"
    mean: tuple[float, ...] = IMAGENET[0]
    scale: tuple[float, ...] = IMAGENET[1]

    def __post_init__(self):
        for name in ("mean", "scale"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        if self.color not in COLORS or len(self.mean) != self.channels or len(self.scale) != self.channels:
            raise InputError(
                f"Got color {self.color!r}, mean {self.mean} and scale {self.scale}; expected one of "
                f"{', '.join(COLORS)}, and a number for each channel."
            )
        if not 1 <= self.image_size <= self.resize_size:
            raise InputError(
                f"Got image_size={self.image_size} and resize_size={self.resize_size}; expected the first to be at "
                "least 1 and at most the second."
            )

    @property
    def channels(self):
        return 1 if self.color == "grey" else 3

    def to_json(self) -> dict[str, Any]:
        """Return a dict that goes to JSON; Preprocessing(**dict) reads it back."""
        return dataclasses.asdict(self) | {"mean": list(self.mean), "scale": list(self.scale)}

    def square(self, pixels):
        """Cut and resize uint8 [height, width, 3] to uint8 [resize_size, resize_size, channels]."""
        shape = tf.shape(pixels)
        side = tf.minimum(shape[0], shape[1])
        top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
        # Cropped first: of an image of 1 x 10,000 pixels the resized whole would take the memory.
        pixels = tf.cast(pixels[top : top + side, left : left + side], tf.float32)
        if self.color == "grey":
            pixels = tf.image.rgb_to_grayscale(pixels)
        elif self.color == "bgr":
            pixels = pixels[..., ::-1]
        pixels = tf.image.resize(pixels, [self.resize_size] * 2, antialias=True)
        pixels = tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)
        return tf.ensure_shape(pixels, [self.resize_size, self.resize_size, self.channels])

    def views(self, squares, views="center"):
        """Cut what the network takes out of uint8 [n, resize_size, resize_size, channels].

        Args:
          squares: from `square`.
          views: "center": one crop; "multiview": four corners, the centre, and the mirror images of the five;
            "drawing": the centre, and others turned, sheared, scaled and moved a little, the same ways for every image.

        Returns:
          float32 [n, 1, 10 or 16, image_size, image_size, channels].

        References:
          Paper section 4.2.1: multi-view features, of Qiao et al.: the mean over ten crops.
        """
        size, last = self.image_size, self.resize_size - self.image_size
        if views == "drawing":
            return self.scaled(drawing_views(squares, size))
        middle = last // 2
        places = [(middle, middle)]
        if views == "multiview":
            places += [(0, 0), (0, last), (last, 0), (last, last)]
        crops = [squares[:, top : top + size, left : left + size] for top, left in places]
        if views == "multiview":
            crops += [crop[:, :, ::-1] for crop in crops]
        return self.scaled(tf.stack(crops, axis=1))

    def scaled(self, pixels):
        """Return (pixels - mean) / scale, float32, of pixels [..., channels] in 0..255."""
        return (tf.cast(pixels, tf.float32) - tf.constant(self.mean)) / tf.constant(self.scale)


def decode(content):
    """Decode a scalar string of plain JPEG or PNG to uint8 [height, width, 3].

    JPEG by the accurate integer transform: the fast one differs by a few grey levels.
    """
    pixels = tf.cond(
        tf.io.is_jpeg(content),
        lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_png(content, channels=3),
    )
    return tf.ensure_shape(pixels, [None, None, 3])
