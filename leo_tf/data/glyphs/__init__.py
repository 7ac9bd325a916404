"""The built-in few-shot data set: embeddings of letterforms, 40 per character, split by script.

Made by `tools/glyphs/generate.py` of the repository; meta.json beside this file says how. Reading needs NumPy only.
"""

import importlib.resources
import json
from typing import Any

import numpy as np

from leo_tf.data.layout import SPLITS
from leo_tf.errors import InputError

WEIGHTS = "network.npz"
DESCRIPTION = "meta.json"


def load_split(split: str) -> tuple[np.ndarray, list[str]]:
    """Read the embeddings of a split, float16 [rows, dim], not normalised, and the class of each row.

    Classes have names such as `armenian/U+0531 ARMENIAN CAPITAL LETTER AYB`. Examples of one class are adjacent.
    """
    if split not in SPLITS:
        raise InputError(f"The glyphs have no split {split!r}; it is one of {', '.join(SPLITS)}.")
    arrays = _load(f"{split}.npz")
    classes = arrays["classes"].tolist()
    return arrays["embeddings"], [classes[number] for number in arrays["class_numbers"]]


def load_weights() -> dict[str, np.ndarray]:
    """Read the weights of the network that made the embeddings, by path."""
    return _load(WEIGHTS)


def load_description() -> dict[str, Any]:
    """Read how the data were made: seed, counts by script, library versions, baseline accuracies."""
    return json.loads((importlib.resources.files(__package__) / DESCRIPTION).read_text(encoding="utf-8"))


def _load(name: str) -> dict[str, np.ndarray]:
    with (importlib.resources.files(__package__) / name).open("rb") as file, np.load(file) as arrays:
        return dict(arrays)
