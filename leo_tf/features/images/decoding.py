"""Encoded images to squares inside a TensorFlow graph, for a served model, which has no Pillow.

Images that TensorFlow decodes differently from Pillow are refused: CMYK, EXIF rotation, transparency, 16 bits.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from leo_tf.features.images.preprocessing import Preprocessing, decode
from leo_tf.files.pixels import MAX_PIXELS, MAX_PIXELS_PER_BYTE

_SEARCHED = 4096  # bytes at either end that are searched for headers and EXIF
_PNG = b"\x89PNG\r\n\x1a\n"
# The EXIF entry of tag 0x0112, one short or long, up to the value's lowest byte, in either byte order.
_ORIENTATION = (
    *(b"\x12\x01\x03\x00\x01\x00\x00\x00", b"\x01\x12\x00\x03\x00\x00\x00\x01\x00"),
    *(b"\x12\x01\x04\x00\x01\x00\x00\x00", b"\x01\x12\x00\x04\x00\x00\x00\x01\x00\x00\x00"),
)
_ADVICE = "Convert it to an upright 8-bit RGB JPEG or PNG."


def squares_of(contents: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Return squares uint8 [n, resize_size, resize_size, channels], as `Loader.square`, of the bytes of files [n].

    An image that is corrupt, or that TensorFlow would decode wrongly, raises InvalidArgumentError.
    """
    side = preprocessing.resize_size
    kind = tf.TensorSpec([side, side, preprocessing.channels], tf.uint8)
    pixels = tf.reduce_sum(tf.map_fn(_checked_pixels, contents, fn_output_signature=tf.int64))

    def squares(parallel: int) -> Callable[[], tf.Tensor]:
        return lambda: tf.map_fn(
            lambda each: preprocessing.square(decode(each)),
            contents,
            parallel_iterations=parallel,
            fn_output_signature=kind,
        )

    # A pixel takes 18 bytes while it is resized: large images one after the other, to bound a request's memory.
    return tf.cond(pixels <= MAX_PIXELS, squares(10), squares(1))


def _checked_pixels(content: tf.Tensor) -> tf.Tensor:
    """Check a scalar string; return its number of pixels, int64."""
    head = tf.strings.substr(content, 0, _SEARCHED)
    last = tf.strings.substr(content, tf.maximum(tf.strings.length(content) - _SEARCHED, 0), _SEARCHED)
    ends = tf.strings.join([head, last])
    known = require(
        [],
        tf.io.is_jpeg(content) | (tf.strings.substr(content, 0, len(_PNG)) == _PNG),
        f"An image is neither JPEG nor PNG. {_ADVICE} Received bytes:",
        tf.strings.length(content),
    )
    with tf.control_dependencies(known):
        height, width, odd = tf.cond(tf.io.is_jpeg(content), lambda: _of_jpeg(content), lambda: _of_png(ends))
    size = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    checks = require(
        [],
        (height > 0) & (width > 0) & (size <= MAX_PIXELS),
        f"An image declares no pixels or more than {MAX_PIXELS:,}. Received height and width:",
        height,
        width,
    )
    length = tf.strings.length(content)
    checks = require(
        checks,
        size <= MAX_PIXELS_PER_BYTE * tf.cast(length, tf.int64),
        "An image declares more pixels than its bytes can hold. Received height, width and bytes:",
        *(height, width, length),
    )
    checks = require(checks, tf.equal(odd, ""), f"An image would be decoded wrongly. {_ADVICE} Received one that", odd)
    checks = require(
        checks, tf.logical_not(_is_rotated(ends)), f"An image is rotated by its EXIF orientation. {_ADVICE}", height
    )
    with tf.control_dependencies(checks):
        return tf.identity(size)


def _of_jpeg(content: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return height, width, and why TensorFlow would decode it wrongly."""
    shape = tf.io.extract_jpeg_shape(content)
    return shape[0], shape[1], tf.where(shape[2] == 4, "is CMYK", "")


def _of_png(ends: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    values = tf.cast(tf.io.decode_raw(ends, tf.uint8), tf.int32)
    values = tf.concat([values, tf.zeros([26], tf.int32)], axis=0)  # a truncated one counts as empty
    width, height = (tf.reduce_sum(values[at : at + 4] * [1 << 24, 1 << 16, 1 << 8, 1]) for at in (16, 20))
    deep = values[24] == 16
    transparent = (values[25] & 4 > 0) | tf.reduce_any(_places(values, b"tRNS"))
    compressed = tf.reduce_any(_places(values, b"Raw profile type exif"))
    reason = tf.where(compressed, "has compressed EXIF data", "")
    return height, width, tf.where(deep, "has 16 bits per channel", tf.where(transparent, "is transparent", reason))


def _is_rotated(ends: tf.Tensor) -> tf.Tensor:
    """Return whether EXIF data ask for a rotation."""
    values = tf.cast(tf.io.decode_raw(ends, tf.uint8), tf.int32)
    rotated = tf.constant(False)
    for entry in _ORIENTATION:
        following = tf.concat([values[len(entry) :], tf.ones([len(entry)], tf.int32)], axis=0)
        rotated |= tf.reduce_any(_places(values, entry) & (following > 1) & (following <= 8))
    return rotated


def _places(values: tf.Tensor, wanted: bytes) -> tf.Tensor:
    """Return bool [n], true where `wanted` begins in values int32 [n]."""
    padded = tf.concat([values, tf.fill([len(wanted)], -1)], axis=0)
    length = tf.size(values)
    return tf.reduce_all([padded[i : i + length] == byte for i, byte in enumerate(wanted)], axis=0)


def require(before: Sequence[tf.Operation], condition: tf.Tensor, message: str, *received: tf.Tensor) -> list:
    """Return a list of one operation, a check inside the graph, which runs after those of `before`."""
    with tf.control_dependencies(before):
        return [tf.debugging.Assert(condition, [message, *received])]
