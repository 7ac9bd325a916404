"""Augmentation of image batches as a pure function of random numbers, one row per image."""

import math

import tensorflow as tf

from leo_tf import randomness

_MIN_AREA, _MAX_ASPECT = 0.08, 4 / 3  # of a crop: Szegedy et al., "Going deeper with convolutions"
_COLOUR = 0.4  # Qiao et al.: brightness, contrast and saturation change by up to this share
_ROTATION, _SHEAR, _SCALE, _SHIFT = math.radians(15), 0.25, 0.25, 0.12  # of drawings, at most
_BEND = 0.04  # amplitude of each wave that bends a drawing, as a share of its side
_DRAWS = 24
_VIEWS, _VIEWS_SEED = 16, 0  # of a drawing to average over
_VIEWS_STRENGTH = 0.6  # relative to the augmentation in training
_WHITE = 255.0


def draw(seed: int | tf.Tensor, first_example: int | tf.Tensor, num_examples: int) -> tf.Tensor:
    """Return uniform numbers [num_examples, 24] for `augment`, a function of (run seed, number of the example)."""
    seed = randomness.stream_seed(seed, randomness.AUGMENTATION)
    return randomness.uniform(randomness.integers(seed, first_example, num_examples, _DRAWS))


def augment(squares: tf.Tensor, kind: str, size: int, draws: tf.Tensor | None) -> tf.Tensor:
    """Augment squares [n, side, side, channels], or crop them for "none": float32 [n, size, size, channels], 0..255."""
    pixels = tf.cast(squares, tf.float32)
    if kind == "none":
        first = (squares.shape[1] - size) // 2
        return pixels[:, first : first + size, first : first + size]
    return _drawing(pixels, size, draws) if kind == "drawing" else _photo(pixels, size, draws)


def drawing_views(squares: tf.Tensor, size: int) -> tf.Tensor:
    """Return 16 fixed views of squares [n, side, side, channels]: float32 [n, 16, size, size, channels].

    The first is the centre crop; the others are augmented as drawings, less strongly than in training.
    """
    draws = 0.5 + _VIEWS_STRENGTH * (draw(_VIEWS_SEED, 0, _VIEWS - 1) - 0.5)
    shape = tf.shape(squares)
    repeated = tf.repeat(squares, _VIEWS - 1, axis=0)
    changed = augment(repeated, "drawing", size, tf.tile(draws, [shape[0], 1]))
    changed = tf.reshape(changed, [-1, _VIEWS - 1, size, size, squares.shape[-1]])
    return tf.concat([augment(squares, "none", size, None)[:, tf.newaxis], changed], axis=1)


def rotate_quarters(images: tf.Tensor, quarters: tf.Tensor) -> tf.Tensor:
    """Rotate images [n, side, side, channels] by quarters [n] int32 of a full turn, counter-clockwise."""
    rotated = tf.stack([tf.image.rot90(images, k) for k in range(4)], axis=1)
    return tf.gather(rotated, quarters, batch_dims=1)


def _photo(pixels: tf.Tensor, size: int, draws: tf.Tensor) -> tf.Tensor:
    """Crop any part, stretched by up to a third; mirror half of them; change brightness, contrast and saturation."""
    u = [draws[:, i] for i in range(8)]
    area = _MIN_AREA + (1 - _MIN_AREA) * u[0]
    stretch = tf.exp((2 * u[1] - 1) * math.log(_MAX_ASPECT) / 2)
    height, width = tf.minimum(tf.sqrt(area) / stretch, 1.0), tf.minimum(tf.sqrt(area) * stretch, 1.0)
    top, left = u[2] * (1 - height), u[3] * (1 - width)
    mirrored = u[4] < 0.5
    right = left + width
    boxes = tf.stack([top, tf.where(mirrored, right, left), top + height, tf.where(mirrored, left, right)], axis=1)
    crops = tf.image.crop_and_resize(pixels, boxes, tf.range(tf.shape(pixels)[0]), [size, size])
    factors = [1 + _COLOUR * (2 * value[:, tf.newaxis, tf.newaxis, tf.newaxis] - 1) for value in u[5:8]]
    crops = crops * factors[0]
    grey = tf.image.rgb_to_grayscale(crops) if pixels.shape[-1] == 3 else crops
    mean = tf.reduce_mean(grey, axis=[1, 2, 3], keepdims=True)
    crops = mean + factors[1] * (crops - mean)
    if pixels.shape[-1] == 3:
        grey = tf.image.rgb_to_grayscale(crops)
        crops = grey + factors[2] * (crops - grey)
    return tf.clip_by_value(crops, 0.0, 255.0)


def _drawing(pixels: tf.Tensor, size: int, draws: tf.Tensor) -> tf.Tensor:
    """Rotate, shear, scale, move and bend drawings slightly, on white."""
    v = 2 * draws - 1
    angle, shear = _ROTATION * v[:, 0], _SHEAR * v[:, 1]
    scale_x, scale_y = tf.exp(_SCALE * v[:, 2]), tf.exp(_SCALE * v[:, 3])
    cos, sin = tf.cos(angle), tf.sin(angle)
    # From positions in the result to positions in the square, relative to the centre, in units of half a side.
    matrix = [[scale_x * cos, scale_x * (shear * cos - sin)], [scale_y * sin, scale_y * (shear * sin + cos)]]
    line = tf.linspace(-1.0, 1.0, size)
    y, x = (grid[tf.newaxis] for grid in tf.meshgrid(line, line, indexing="ij"))

    def column(values: tf.Tensor) -> tf.Tensor:
        return tf.reshape(values, [-1, 1, 1])

    new_x = column(matrix[0][0]) * x + column(matrix[0][1]) * y + column(2 * _SHIFT * v[:, 4])
    new_y = column(matrix[1][0]) * x + column(matrix[1][1]) * y + column(2 * _SHIFT * v[:, 5])
    for i, (a, b) in enumerate([(1.0, 2.0), (2.0, 1.0)]):  # two slow waves in each direction
        amplitude, phase = 2 * _BEND * v[:, 6 + i], math.pi * v[:, 8 + i]
        new_x += column(amplitude) * tf.sin(math.pi * (a * y + 0.5 * b * x) + column(phase))
        amplitude, phase = 2 * _BEND * v[:, 10 + i], math.pi * v[:, 12 + i]
        new_y += column(amplitude) * tf.sin(math.pi * (a * x + 0.5 * b * y) + column(phase))
    return sample_bilinear(pixels, new_x, new_y)


def sample_bilinear(pixels: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Return pixels [n, side, side, channels] at positions x, y [n, size, size] in -1..1; white outside."""
    side = pixels.shape[1]
    padded = tf.pad(pixels, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=_WHITE)
    positions = [tf.clip_by_value((p + 1) * 0.5 * (side - 1) + 1, 0.0, side + 1.0) for p in (y, x)]
    low = [tf.minimum(tf.cast(p, tf.int32), side) for p in positions]
    dy, dx = ((p - tf.cast(i, tf.float32))[..., tf.newaxis] for p, i in zip(positions, low, strict=True))
    flat = tf.reshape(padded, [tf.shape(pixels)[0], (side + 2) ** 2, pixels.shape[-1]])

    def at(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        return tf.gather(flat, row * (side + 2) + column, batch_dims=1)

    top = at(low[0], low[1]) * (1 - dx) + at(low[0], low[1] + 1) * dx
    bottom = at(low[0] + 1, low[1]) * (1 - dx) + at(low[0] + 1, low[1] + 1) * dx
    return top * (1 - dy) + bottom * dy
