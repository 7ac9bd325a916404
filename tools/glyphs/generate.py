"""Regenerate the built-in data set "glyphs": `python tools/glyphs/generate.py --output=FOLDER`, from a clone.

Real letterforms are rendered, embedded and written as the files that `leo_tf.data.glyphs` reads. The scripts:

    fonts          matplotlib's typefaces and the clean shape of a character
    lookalikes     which shapes are too alike to be two classes
    characters     the classes: scripts, meta-splits, selection
    render         one example as a pure function of (seed, code point, number)
    network        the convolutional network and its embedding
    difficulty     accuracy of nearest class mean, before any meta-learning
    generate       this command: the three splits, the weights and their description
    contact_sheet  an image of the data
"""

import argparse
import collections
import dataclasses
import importlib.metadata
import io
import json
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import contact_sheet
import difficulty
import fonts
import keras
import network
import numpy as np
import render
from characters import SPLITS, Character, select

from leo_tf.data import glyphs as package_data
from leo_tf.errors import InputError
from leo_tf.files import replace_file, writing

SEED = 20180716
EXAMPLES = 40  # per class in the data set, numbered from 0
_TRAINING_EXAMPLES = range(1000, 1040)  # the network learns from other examples than those that it embeds
_COMMAND = "python tools/glyphs/generate.py --output=leo_tf/data/glyphs"
_ADVICE = "give an output that can be written"


def generate(output: Path, retrain: bool, log: Callable[[str], None]) -> dict[str, Any]:
    """Make the whole data set and write it to a folder.

    Args:
        output: folder to write to; made if missing.
        retrain: train the network from scratch instead of taking the shipped weights. Trained weights differ in the
            last digits between machines and library versions, so embeddings agree only between equal weights.
        log: receives a line per stage.

    Returns:
        The description that is written beside the data.

    Raises:
        InputError: the typefaces are not installed, or the folder cannot be written.
    """
    fonts.require_fonts()
    with writing(output, _ADVICE):  # before the minutes of work
        output.mkdir(parents=True, exist_ok=True)
    characters = {split: [c for c in select() if c.split == split] for split in SPLITS}
    log("Classes: " + ", ".join(f"{split} {len(members)}" for split, members in characters.items()))
    if retrain:
        log(f"Rendering {len(_TRAINING_EXAMPLES)} training examples of each meta-train class")
        images = _render_all(characters["train"], _TRAINING_EXAMPLES.start, len(_TRAINING_EXAMPLES))
        embedder = network.train_embedder(images, SEED)
    else:
        embedder = load_embedder()
    embeddings = {}
    for split, members in characters.items():
        log(f"Rendering and embedding {EXAMPLES} examples of each {split} class")
        embeddings[split] = network.embed(embedder, _render_all(members, 0, EXAMPLES))
    description = _describe(characters, embeddings)
    for split, members in characters.items():
        arrays = {
            "embeddings": embeddings[split].reshape(-1, network.EMBEDDING_DIM),
            "classes": np.array([character.label for character in members]),
            "class_numbers": np.repeat(np.arange(len(members), dtype=np.int16), EXAMPLES),
        }
        _write(output / f"{split}.npz", _as_npz(arrays))
    _write(output / package_data.WEIGHTS, _as_npz(network.get_weights(embedder)))
    _write(output / package_data.DESCRIPTION, (json.dumps(description, indent=1) + "\n").encode())
    return description


def load_embedder() -> keras.Model:
    """Build the embedding network with the weights in the package."""
    embedder = network.build_embedder()
    network.set_weights(embedder, package_data.load_weights())
    return embedder


def _render_all(characters: Sequence[Character], first: int, count: int) -> np.ndarray:
    """Render uint8 [classes, count, 28, 28]."""
    return np.stack([render.render_class(SEED, character.code_point, first, count) for character in characters])


def _describe(characters: dict[str, list[Character]], embeddings: dict[str, np.ndarray]) -> dict[str, Any]:
    libraries = ("matplotlib", "pillow", "numpy", "scipy", "keras", "tensorflow")
    return {
        "command": _COMMAND,
        "seed": SEED,
        "examples_per_class": EXAMPLES,
        "embedding_dim": network.EMBEDDING_DIM,
        "classes": {
            split: dict(collections.Counter(character.script for character in members))
            for split, members in characters.items()
        },
        "variation": dataclasses.asdict(render.VARIATION),
        "test_accuracy_percent": difficulty.report(embeddings["train"], embeddings["test"]),
        "versions": {name: importlib.metadata.version(name) for name in libraries}
        | {"unicode": unicodedata.unidata_version},
    }


def _as_npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    with writing(path, _ADVICE), replace_file(path) as file:
        file.write(content)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, generate, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--output", type=Path, required=True, help="folder for the .npz files and meta.json")
    parser.add_argument(
        "--retrain", action="store_true", help="train the network from scratch instead of taking the shipped weights"
    )
    parser.add_argument("--contact_sheet", type=Path, help="also draw the data to this PNG file, e.g. docs/glyphs.png")
    flags = parser.parse_args(arguments)
    try:
        description = generate(flags.output, retrain=flags.retrain, log=print)
        if flags.contact_sheet:
            contact_sheet.write_contact_sheet(flags.contact_sheet, SEED)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(description["classes"]))
    print("5-way test accuracy, %:", json.dumps(description["test_accuracy_percent"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
