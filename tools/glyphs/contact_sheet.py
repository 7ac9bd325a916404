"""An image of the data: a row per class, a column per example."""

from pathlib import Path

import numpy as np
import render
from characters import SPLITS, select

from leo_tf.files import writing

_CLASSES = 12  # per split
_EXAMPLES = 20
_GAP = 6  # pixels between splits


def contact_sheet(seed: int) -> np.ndarray:
    """Draw examples of classes spread evenly over each split, train above val above test, uint8 [height, width]."""
    characters = select()
    bands = []
    for split in SPLITS:
        members = [character for character in characters if character.split == split]
        shown = [members[len(members) * row // _CLASSES] for row in range(_CLASSES)]
        rows = [np.hstack(list(render.render_class(seed, c.code_point, 0, _EXAMPLES))) for c in shown]
        bands.append(np.pad(np.vstack(rows), ((0, _GAP), (0, 0)), constant_values=255))
    return np.vstack(bands)[:-_GAP]


def write_contact_sheet(path: Path, seed: int) -> None:
    """Write the sheet as a PNG of 16 grey levels, half the size of one with 256.

    Raises:
        InputError: the file cannot be written.
    """
    from PIL import Image

    image = Image.fromarray(contact_sheet(seed)).quantize(16)
    with writing(path, "give another contact_sheet"):
        image.save(path, format="PNG", optimize=True)
