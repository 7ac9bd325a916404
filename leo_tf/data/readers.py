"""Read the file of one split: the official pickle, an .npz, or an .npy with a .json of labels beside it."""

import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from leo_tf.data.conversion import LONGEST_NAME, Split, check_embeddings, shown
from leo_tf.data.safe_pickle import load_pickle
from leo_tf.errors import InputError
from leo_tf.files import npz
from leo_tf.files.reading import reading


def split_files(path: Path) -> tuple[Path, ...]:
    """Return the files that make up a split: the file itself and, for an .npy, its .json."""
    return (path, path.with_suffix(".json")) if path.suffix == ".npy" else (path,)


def read_split(path: str | Path) -> Split:
    """Read and check one split: its rows as they are on disk, memory-mapped where possible, and one label each.

    By the extension, the file is
      .pkl: a dict with 'embeddings' [rows, dim] and 'keys' [rows], strings `x-<class>-<class>_<image>`; or, if it has
        no keys, 'labels' [rows];
      .npz: arrays 'embeddings' [rows, dim] and 'labels' [rows];
      .npy: an array [rows, dim], with a .json of the same name that is a list of labels or has one under 'labels'.
    """
    path = Path(path)
    readers = {".pkl": _read_pickle, ".npz": _read_npz, ".npy": _read_npy}
    if path.suffix not in readers:
        raise InputError(f"{path}: unknown extension {path.suffix!r}; expected {', '.join(readers)}.")
    embeddings, labels = readers[path.suffix](path)
    check_embeddings(embeddings, len(labels), str(path))
    return Split(embeddings, labels, str(path))


def _read_pickle(path: Path) -> tuple[np.ndarray, Sequence[object]]:
    content = load_pickle(path)
    if not isinstance(content, dict) or not isinstance(content.get("embeddings"), np.ndarray):
        raise InputError(f"{path}: holds {_contents(content)}; expected a dict with an array 'embeddings' and 'keys'.")
    embeddings = content["embeddings"]
    if "keys" in content:
        keys = _as_list(content["keys"], "keys", path)
        return embeddings, [_class_of_key(key, row, path) for row, key in enumerate(keys)]
    if "labels" in content:
        return embeddings, _as_list(content["labels"], "labels", path)
    raise InputError(f"{path}: holds {_contents(content)}; expected 'keys' or 'labels' beside the embeddings.")


def _read_npz(path: Path) -> tuple[np.ndarray, Sequence[object]]:
    expected = "an .npz with the arrays 'embeddings' and 'labels', of numbers and strings"
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: is missing, truncated or not an archive of arrays; expected {expected}.")
    with reading(path, expected):
        npz.check_declared_sizes(path, ("embeddings", "labels"))
        with np.load(path, allow_pickle=False) as archive:
            if not {"embeddings", "labels"}.issubset(archive):
                raise InputError(f"{path}: holds {_contents(archive)}; expected {expected}.")
            return archive["embeddings"], _as_list(archive["labels"], "labels", path)


def _read_npy(path: Path) -> tuple[np.ndarray, Sequence[object]]:
    labels_path = path.with_suffix(".json")
    with reading(path, "an .npy with one array of numbers"):
        embeddings = npz.memory_map(path)
    if not isinstance(embeddings, np.ndarray):
        raise InputError(f"{path}: is an archive of arrays; expected one array. Rename it to .npz.")
    with reading(labels_path, f"a list with the label of each row of {path.name}"):
        labels = json.loads(labels_path.read_bytes())
    return embeddings, _as_list(labels.get("labels") if isinstance(labels, dict) else labels, "labels", labels_path)


def _class_of_key(key: object, row: int, path: Path) -> str:
    fits = isinstance(key, (str, bytes)) and len(key) <= LONGEST_NAME
    text = key.decode("latin1") if fits and isinstance(key, bytes) else key
    fields = str(text).split("-") if fits else []
    if len(fields) != 3 or not fields[1]:
        raise InputError(
            f"{path}: key {shown(key)} of row {row}; expected the form x-<class>-<class>_<image>. Leave 'keys' out and "
            "give 'labels' if the names of your classes contain a hyphen."
        )
    return sys.intern(fields[1])  # a small file can refer to one long key a million times


def _as_list(values: object, name: str, path: Path) -> list[object]:
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return values.tolist()
    if isinstance(values, (list, tuple)):
        return list(values)
    raise InputError(f"{path}: {name!r} is {_contents(values)}; expected a list with one entry for each row.")


def _contents(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, Mapping):
        return ", ".join(shown(key) for key in islice(value, 8)) or "nothing"
    return f"something of type {type(value).__name__}"
