"""The image path of each row of a table, where the file of embeddings has them."""

from pathlib import Path

import numpy as np

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
    found = None
    if path is not None and path.suffix == ".npz":
        found = _of_archive(path)
    elif path is not None and path.suffix == ".pkl" and find_extractor(data_path, dataset_name, embedding_crop):
        found = _of_pickle(path)  # others have no paths: the published ones, which take long to read
    if found is None:
        return None
    paths, labels = found
    by_class = [paths[labels == name] for name in table.class_names]
    return np.concatenate(by_class) if [len(rows) for rows in by_class] == table.class_sizes.tolist() else None


def _of_archive(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    what = "embeddings by leo_tf.features.extract"
    if not {"paths", "labels"} <= npz.array_names(path, what):
        return None
    found = npz.read(path, what, paths=("U", 1), labels=("U", 1))
    if len(found["paths"]) != len(found["labels"]):
        raise corrupt(path, f"it has {len(found['paths'])} paths and {len(found['labels'])} labels", what)
    return found["paths"], found["labels"]


def _of_pickle(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    content, labels = load_pickle(path), read_split(path).labels
    paths = content.get("paths") if isinstance(content, dict) else None
    return (np.array(paths), np.array(labels)) if isinstance(paths, list) and len(paths) == len(labels) else None
