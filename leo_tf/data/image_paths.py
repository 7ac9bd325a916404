"""The name of each row of a table, where the file of embeddings has them: the path of its image, or its key."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leo_tf.data.conversion import class_name
from leo_tf.data.extractor_metadata import find_extractor
from leo_tf.data.layout import find_split
from leo_tf.data.readers import read_split
from leo_tf.data.safe_pickle import load_pickle
from leo_tf.data.table import EmbeddingTable
from leo_tf.files import npz
from leo_tf.files.reading import corrupt


def image_paths(
    data_path: str | Path | None, dataset_name: str, embedding_crop: str, split: str, table: EmbeddingTable
) -> np.ndarray | None:
    """Return the path of each row's image, relative to the folder that embeddings were extracted from.

    Strings [rows], in the order of the split's table; None if the file has no paths, like the published ones.
    """
    path = find_split(Path(data_path).expanduser(), dataset_name, embedding_crop, split) if data_path else None
    if path is None or (path.suffix == ".pkl" and not find_extractor(data_path, dataset_name, embedding_crop)):
        return None  # pickles without an extractor have no paths: the published ones, which take long to read
    return _in_order([_names_in(path, "paths")], table)


def row_names(files: Sequence[Path], table: EmbeddingTable) -> np.ndarray | None:
    """Return the name of each row, strings [rows], in the order of a table of the splits in `files`.

    That is the path of its image or, in the official layout, its key. None if a file has neither.
    """
    return _in_order([_names_in(path, "paths", "keys") for path in files], table)


def _in_order(found: Sequence[tuple[np.ndarray, np.ndarray] | None], table: EmbeddingTable) -> np.ndarray | None:
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return None
    names, labels = (np.concatenate(each) for each in zip(*known, strict=True))
    by_class = [names[labels == name] for name in table.class_names]
    return np.concatenate(by_class) if [len(rows) for rows in by_class] == table.class_sizes.tolist() else None


def _names_in(path: Path, *fields: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Return names and classes of the rows of a file, from the first of `fields` that it has."""
    if path.suffix == ".npz":
        return _of_archive(path)
    return _of_pickle(path, fields) if path.suffix == ".pkl" else None


def _of_archive(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    what = "embeddings by leo_tf.features.extract"
    if not {"paths", "labels"} <= npz.array_names(path, what):
        return None
    found = npz.read(path, what, paths=("U", 1), labels=("Uiu", 1))
    if len(found["paths"]) != len(found["labels"]):
        raise corrupt(path, f"it has {len(found['paths'])} paths and {len(found['labels'])} labels", what)
    return found["paths"], found["labels"].astype(str)


def _of_pickle(path: Path, fields: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
    content: Any = load_pickle(path)  # a dict, which read_split checks
    labels = [class_name(label, str(path)) for label in read_split(path).labels]
    names = next((content[field] for field in fields if field in content), None)
    if not isinstance(names, list | np.ndarray) or len(names) != len(labels):
        return None
    texts = [name.decode("latin1") if isinstance(name, bytes) else str(name) for name in names]
    return np.array(texts), np.array(labels)
