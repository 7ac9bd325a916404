"""One example of one character, as a pure function of (seed, code point, number of the example)."""

import dataclasses

import fonts
import numpy as np
from scipy import ndimage

IMAGE_SIZE = 28


@dataclasses.dataclass(frozen=True)
class Variation:
    """How much the examples of one character differ; the scale of each random draw."""

    rotation: float = 0.08  # standard deviation, radians
    shear: float = 0.1
    log_stretch: float = 0.1  # of each axis
    log_size: float = 0.08
    shift: float = 0.8  # pixels of the image
    elastic: float = 0.6  # amplitude of a smooth random displacement, pixels
    elastic_smoothness: float = 5.0  # its correlation length, pixels
    stroke: tuple[float, float] = (0.3, 0.52)  # level at which the blurred ink is cut: low is bold, high is thin
    contrast: tuple[float, float] = (0.8, 1.0)
    noise: tuple[float, float] = (0.01, 0.07)  # standard deviation per pixel


VARIATION = Variation()

_OVERSAMPLING = 2
_GLYPH_BOX = 19.0  # longer side of an unwarped glyph, pixels of the image
_PEN = 0.8  # blur before the cut, pixels of the image
_EDGE = 0.08  # softness of the cut


def render(seed: int, code_point: int, example: int, variation: Variation = VARIATION) -> np.ndarray:
    """Draw one example: a typeface, an affine and an elastic warp, a stroke width, contrast and noise.

    Args:
        seed: seed of the data set.
        code_point: the character.
        example: number of the example; any non-negative integer, so there is no end of examples.
        variation: how much examples differ.

    Returns:
        Grey image, uint8 [28, 28], ink bright on dark.
    """
    generator = np.random.default_rng((seed, code_point, example))
    faces = fonts.faces_of(code_point)
    glyph = fonts.master(code_point, faces[generator.integers(len(faces))])
    ink = _cut(_warp(glyph, generator, variation), generator, variation)
    image = ink * generator.uniform(*variation.contrast)
    image = image + generator.uniform(*variation.noise) * generator.standard_normal(image.shape)
    return np.rint(255.0 * np.clip(image, 0.0, 1.0)).astype(np.uint8)


def render_class(seed: int, code_point: int, first: int, count: int) -> np.ndarray:
    """Draw examples `first` to `first + count - 1` of one character, uint8 [count, 28, 28]."""
    return np.stack([render(seed, code_point, example) for example in range(first, first + count)])


def _warp(glyph: np.ndarray, generator: np.random.Generator, variation: Variation) -> np.ndarray:
    """Place the glyph in the finer frame under a random affine map and displacement, float [size, size]."""
    size = IMAGE_SIZE * _OVERSAMPLING
    angle = variation.rotation * generator.standard_normal()
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1.0, 0.0], [variation.shear * generator.standard_normal(), 1.0]])
    stretch = np.exp(variation.log_stretch * generator.standard_normal(2))
    scale = np.exp(variation.log_size * generator.standard_normal())
    shift = variation.shift * _OVERSAMPLING * generator.standard_normal(2)

    # Coordinates are pulled back: from each pixel of the frame to its source in the glyph's own pixels.
    unit = max(glyph.shape) / (_GLYPH_BOX * _OVERSAMPLING)
    matrix = unit / scale * np.diag(1.0 / stretch) @ shear @ rotation
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij")).reshape(2, -1) - (size - 1) / 2
    field = generator.standard_normal((2, size, size))
    smoothness = variation.elastic_smoothness * _OVERSAMPLING
    field = ndimage.gaussian_filter(field, (0, smoothness, smoothness), mode="wrap")
    # White noise smoothed by a Gaussian of width s has standard deviation 1 / (2 s sqrt(pi)).
    field *= variation.elastic * _OVERSAMPLING * 2 * smoothness * np.sqrt(np.pi)
    middle = (np.array(glyph.shape) - 1)[:, None] / 2
    source = matrix @ (grid - shift[:, None] + field.reshape(2, -1)) + middle
    return ndimage.map_coordinates(glyph, source, order=1).reshape(size, size)


def _cut(ink: np.ndarray, generator: np.random.Generator, variation: Variation) -> np.ndarray:
    """Thicken or thin the strokes by cutting the blurred ink at a random level, then average down to the image."""
    smooth = ndimage.gaussian_filter(ink, _PEN * _OVERSAMPLING)
    level = generator.uniform(*variation.stroke)
    sharp = 1.0 / (1.0 + np.exp((level - smooth) / _EDGE))
    # The background is exactly 0 and full ink exactly 1 at any level.
    floor, top = 1.0 / (1.0 + np.exp(level / _EDGE)), 1.0 / (1.0 + np.exp((level - 1.0) / _EDGE))
    sharp = (sharp - floor) / (top - floor)
    return sharp.reshape(IMAGE_SIZE, _OVERSAMPLING, IMAGE_SIZE, _OVERSAMPLING).mean(axis=(1, 3))
