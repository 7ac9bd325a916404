"""Removal of look-alikes: Latin A, Greek Alpha and Cyrillic A are one shape, so only the first stays a class."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

THRESHOLD = 0.82
"""Two shapes whose normalised correlation exceeds this count as alike."""

_SIZE = 32
_BOX = 26
_BLUR = 1.0  # tolerance of a stroke's place, in pixels of the 32 x 32 frame


def normalised(shape: np.ndarray) -> np.ndarray:
    """Scale a cropped glyph into one frame, keeping its proportions, and standardise it.

    Args:
        shape: ink, [height, width].

    Returns:
        Float32 [1024], zero mean and unit norm, so that a dot product is a normalised correlation.
    """
    scale = max(shape.shape) / _BOX
    # Blur before sampling: the masters are finer than the frame.
    smooth = ndimage.gaussian_filter(np.pad(shape, _SIZE), _BLUR * scale)
    middle = (np.array(smooth.shape) - 1) / 2
    offset = middle - scale * (_SIZE - 1) / 2
    framed = ndimage.affine_transform(smooth, np.array([scale, scale]), offset, (_SIZE, _SIZE), order=1)
    centred = framed.ravel() - framed.mean()
    return (centred / np.linalg.norm(centred)).astype(np.float32)


def without_lookalikes(shapes: Sequence[np.ndarray], threshold: float = THRESHOLD) -> list[int]:
    """Choose shapes in order, leaving out each that resembles one already chosen.

    Args:
        shapes: cropped glyphs, each [height, width], in order of preference.
        threshold: highest normalised correlation between two that are kept.

    Returns:
        Positions of the kept shapes, ascending.
    """
    vectors = np.stack([normalised(shape) for shape in shapes])
    kept: list[int] = []
    for position, vector in enumerate(vectors):
        if not kept or float((vectors[kept] @ vector).max()) <= threshold:
            kept.append(position)
    return kept
