"""Encoded images to squares inside a TensorFlow graph, for a served model, which has no Pillow.

What TensorFlow would show otherwise than the reader does is refused: CMYK, EXIF rotation, transparency, 16 bits.
"""

import tensorflow as tf

from leo_tf.features.images.pixels import MOST_PIXELS, MOST_PIXELS_A_BYTE
from leo_tf.features.images.preprocessing import decode

_HEAD = 4096  # bytes that headers and EXIF are looked for in
_PNG = b"\x89PNG\r\n\x1a\n"
# An entry of EXIF: tag 0x0112, a short, one of them; of either byte order.
_TURNED = (b"\x12\x01\x03\x00\x01\x00\x00\x00", b"\x01\x12\x00\x03\x00\x00\x00\x01\x00")
_HOW = "Convert it to an upright 8-bit RGB JPEG or PNG."


def squares_of(contents, preprocessing):
    """Decode, cut and resize.

    Args:
      contents: string [n], files of JPEG or PNG.
      preprocessing: Preprocessing.

    Returns:
      uint8 [n, resize_size, resize_size, channels], of plain images the same as the reader's.

    Raises:
      tf.errors.InvalidArgumentError: when run, if one is something else, damaged, or would not be read as it looks.
    """
    side = preprocessing.resize_size
    kind = tf.TensorSpec([side, side, preprocessing.channels], tf.uint8)
    pixels = tf.reduce_sum(tf.map_fn(_checked_pixels, contents, fn_output_signature=tf.int64))

    def squares(at_once):
        return lambda: tf.map_fn(
            lambda each: preprocessing.square(decode(each)),
            contents,
            parallel_iterations=at_once,
            fn_output_signature=kind,
        )

    # Decoded and resized, a pixel takes 18 bytes: large images one after the other, that a request has its bound.
    return tf.cond(pixels <= MOST_PIXELS, squares(10), squares(1))


def _checked_pixels(content):
    """Return how many pixels a scalar string has, int64, after the checks."""
    head = tf.strings.substr(content, 0, _HEAD)
    known = _require(
        [],
        tf.io.is_jpeg(content) | (tf.strings.substr(content, 0, len(_PNG)) == _PNG),
        f"An image is neither JPEG nor PNG. {_HOW} Received bytes:",
        tf.strings.length(content),
    )
    with tf.control_dependencies(known):
        is_jpeg = tf.io.is_jpeg(content)
    height, width, odd = tf.cond(is_jpeg, lambda: _of_jpeg(content), lambda: _of_png(head))
    size = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    checks = _require(
        [],
        (height > 0) & (width > 0) & (size <= MOST_PIXELS),
        f"An image declares no pixels or more than {MOST_PIXELS:,}. Received height and width:",
        height,
        width,
    )
    length = tf.strings.length(content)
    checks = _require(
        checks,
        size <= MOST_PIXELS_A_BYTE * tf.cast(length, tf.int64),
        "An image declares more pixels than its bytes can hold. Received height, width and bytes:",
        *(height, width, length),
    )
    checks = _require(checks, tf.equal(odd, ""), f"An image cannot be read as it looks. {_HOW} Received one that", odd)
    checks = _require(
        checks, tf.logical_not(_is_turned(head)), f"An image is to be turned by its EXIF orientation. {_HOW}", height
    )
    with tf.control_dependencies(checks):
        return tf.identity(size)


def _of_jpeg(content):
    """Return height, width, and what is odd about it."""
    shape = tf.io.extract_jpeg_shape(content)
    return shape[0], shape[1], tf.where(shape[2] == 4, "is CMYK", "")


def _of_png(head):
    values = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int32)
    values = tf.concat([values, tf.zeros([26], tf.int32)], axis=0)  # cut off: as if it had no pixels
    width, height = (tf.reduce_sum(values[at : at + 4] * [1 << 24, 1 << 16, 1 << 8, 1]) for at in (16, 20))
    deep, transparent = values[24] == 16, (values[25] & 4 > 0) | _contains(head, b"tRNS")
    return height, width, tf.where(deep, "has 16 bits a channel", tf.where(transparent, "is transparent", ""))


def _is_turned(head):
    """Return whether EXIF data ask for another orientation than the stored one."""
    values = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int32)
    turned = tf.constant(False)
    for entry in _TURNED:
        following = tf.concat([values[len(entry) :], tf.ones([len(entry)], tf.int32)], axis=0)
        turned |= tf.reduce_any(_places(values, entry) & (following > 1) & (following <= 8))
    return turned


def _contains(head, wanted):
    return tf.reduce_any(_places(tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int32), wanted))


def _places(values, wanted):
    """Return where bytes begin in values [n] int32: bool [n]."""
    padded = tf.concat([values, tf.fill([len(wanted)], -1)], axis=0)
    length = tf.size(values)
    return tf.reduce_all([padded[i : i + length] == byte for i, byte in enumerate(wanted)], axis=0)


def _require(before, condition, message, *received):
    """Return the check as a list of one operation that runs after those of `before`."""
    with tf.control_dependencies(before):
        return [tf.debugging.Assert(condition, [message, *received])]
