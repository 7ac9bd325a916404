"""Read the file of one split: the official pickle, an .npz, or an .npy with a .json of labels beside it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leo_tf.data.rows import Split, check_rows
from leo_tf.data.safe_pickle import load_pickle
from leo_tf.errors import InputError


def split_files(path: Path) -> tuple[Path, ...]:
    """Return the files that make up a split: the file itself and, for an .npy, its .json."""
    return (path, path.with_suffix(".json")) if path.suffix == ".npy" else (path,)


def read_split(path: Path) -> Split:
    """Read and check one split.

    Args:
      path: a file that ends in .pkl, .npz or .npy.

    Returns:
      The rows as they are on disk (where the format allows, memory-mapped) with one label each.

    Raises:
      InputError: if the file cannot be read, is no such file, or holds what `rows.check_rows` refuses.
    """
    path = Path(path)
    readers = {".pkl": _read_pickle, ".npz": _read_npz, ".npy": _read_npy}
    if path.suffix not in readers:
        raise InputError(f"{path}: unknown ending {path.suffix!r}; expected {', '.join(readers)}.")
    embeddings, labels = readers[path.suffix](path)
    check_rows(embeddings, len(labels), str(path))
    return Split(embeddings, labels, str(path))


def _read_pickle(path: Path) -> tuple[np.ndarray, Sequence[object]]:
    content = load_pickle(path)
    if not isinstance(content, dict) or not isinstance(content.get("embeddings"), np.ndarray):
        raise InputError(f"{path}: expected a pickled dict with an array 'embeddings' and a list 'keys'.")
    embeddings = content["embeddings"]
    if "keys" in content:
        return embeddings, [_class_of_key(key, row, path) for row, key in enumerate(content["keys"])]
    return embeddings, list(content["labels"])


def _class_of_key(key: object, row: int, path: Path) -> str:
    fields = key.split("-") if isinstance(key, str) else []
    if len(fields) != 3 or not fields[1]:
        raise InputError(f"{path}: key {key!r:.80} of row {row}; expected the form x-<class>-<class>_<image>.")
    return fields[1]


def _read_npz(path: Path) -> tuple[np.ndarray, Sequence[object]]:
    with np.load(path, allow_pickle=False) as archive:
        return archive["embeddings"], archive["labels"].tolist()


def _read_npy(path: Path) -> tuple[np.ndarray, Sequence[object]]:
    labels = json.loads(path.with_suffix(".json").read_text())
    return np.load(path, mmap_mode="r", allow_pickle=False), labels["labels"] if isinstance(labels, dict) else labels
