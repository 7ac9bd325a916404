"""From typefaces to package data: render, train or take the network, embed, write."""

from __future__ import annotations

import collections
import dataclasses
import importlib.metadata
import io
import json
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from leo_tf.data import glyphs as package_data
from leo_tf.errors import InputError
from leo_tf.features.glyphs import difficulty, fonts, network, render
from leo_tf.features.glyphs.characters import SPLITS, Character, select
from leo_tf.files import replace_file

SEED = 20180716
EXAMPLES = 40  # of each class in the data set, numbered from 0
_TRAINING_EXAMPLES = range(1000, 1040)  # the network learns from other examples than those that it embeds
_COMMAND = "python -m leo_tf.features.glyphs --output=leo_tf/data/glyphs"


def build(output: Path, retrain: bool, log: Callable[[str], None]) -> dict:
    """Make the whole data set and write it to a folder.

    Args:
        output: folder to write to; made if it is not there.
        retrain: train the network anew, instead of taking the shipped weights. Trained weights differ in the last
            digits between machines and library versions, so embeddings agree only with those of the same weights.
        log: receives a line per stage.

    Returns:
        The description that is written beside the data.

    Raises:
        InputError: the typefaces are not installed, or the folder cannot be written.
    """
    fonts.require_fonts()
    _make_folder(output)  # before the minutes of work
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


def _describe(characters: dict[str, list[Character]], embeddings: dict[str, np.ndarray]) -> dict:
    versions = {name: importlib.metadata.version(name) for name in ("matplotlib", "pillow", "numpy", "scipy")}
    versions |= {name: importlib.metadata.version(name) for name in ("keras", "tensorflow")}
    versions["unicode"] = unicodedata.unidata_version
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
        "versions": versions,
    }


def _as_npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--output={folder} cannot be made: {error.strerror}. Name a folder you can write to."
        ) from error


def _write(path: Path, content: bytes) -> None:
    try:
        with replace_file(path) as file:
            file.write(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Name a folder you can write to.") from error
