"""Small folders of drawn images: every class has its own bars, which a network learns in a few steps."""

import numpy as np
from PIL import Image


def picture(label, number, size=24, channels=3):
    """Return uint8 [size, size, channels]: a bar whose position and colour depend on the class, with noise."""
    rng = np.random.default_rng([label, number])
    pixels = np.full((size, size, channels), 230.0)
    top = 2 + (5 * label) % (size - 6)
    pixels[top : top + 4] = np.array([40, 120, 200])[:channels] if label % 2 else np.array([200, 60, 30])[:channels]
    pixels[:, : label % 5 + 1] = 20
    return np.clip(pixels + rng.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)


def write_classes(folder, labels, images=6, size=24, ending="png"):
    """Write a folder of classes `c00`, `c01`, ..."""
    for label in labels:
        (folder / f"c{label:02}").mkdir(parents=True)
        for number in range(images):
            Image.fromarray(picture(label, number, size)).save(folder / f"c{label:02}" / f"{number}.{ending}")
    return folder
