"""The names of rows in the order of a table: image paths, or keys of the official layout."""

import pickle

import numpy as np
import pytest

from leo_tf import EmbeddingTable
from leo_tf.data.image_paths import row_names

ORDER = np.random.default_rng(1).permutation(12)  # of the rows in a file
ROWS = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


def write(path, labels, **names):
    """Write rows of these labels [12], in another order than the table's."""
    content = {"embeddings": ROWS[ORDER], **{name: [values[row] for row in ORDER] for name, values in names.items()}}
    if path.suffix == ".npz":
        np.savez(path, labels=np.array(labels)[ORDER], **content)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))


def of_table(data_path, path):
    """Return the names in the file of a split, and the row in ROWS of each row of its table."""
    table = EmbeddingTable.load(data_path, "own", "test", normalize=False, cache_dir=data_path / "cache")
    places = [int(np.flatnonzero((row == ROWS).all(axis=1))[0]) for row in table.embeddings]
    return row_names([path], table), places


@pytest.mark.parametrize("labels", [["b", "a", "c"] * 4, [10, 9, 2] * 4], ids=["text", "numbers"])
def test_paths_of_an_archive(tmp_path, labels):
    path = tmp_path / "own" / "test.npz"
    path.parent.mkdir()
    write(path, labels, paths=[f"{row}.jpg" for row in range(12)])
    names, places = of_table(tmp_path, path)
    assert places != sorted(places) and names.tolist() == [f"{row}.jpg" for row in places]


@pytest.mark.parametrize("kind", [str, str.encode])
def test_keys_of_the_official_layout(tmp_path, kind):
    path = tmp_path / "own" / "center" / "test_embeddings.pkl"
    path.parent.mkdir(parents=True)
    keys = [f"{row}-c{row % 3}-c{row % 3}_{row}" for row in range(12)]
    write(path, None, keys=[kind(key) for key in keys])
    names, places = of_table(tmp_path, path)
    assert names.tolist() == [keys[row] for row in places]


def test_of_several_files_and_of_one_without_names(tmp_path):
    first, second, third = (tmp_path / f"{name}.npz" for name in ("train", "val", "test"))
    write(first, ["b", "a", "c"] * 4, paths=[f"{row}.jpg" for row in range(12)])
    write(second, ["d"] * 12, paths=[f"d{row}.jpg" for row in range(12)])
    write(third, ["e"] * 12)
    labels = np.array(["b", "a", "c"] * 4)[ORDER]
    table = EmbeddingTable.join([
        EmbeddingTable.from_arrays(ROWS[ORDER], labels),
        EmbeddingTable.from_arrays(ROWS[ORDER], ["d"] * 12),
    ])  # fmt: skip
    names = row_names([first, second], table).tolist()
    in_file = np.argsort(labels, kind="stable")
    assert names == [*(f"{row}.jpg" for row in ORDER[in_file]), *(f"d{row}.jpg" for row in ORDER)]
    assert row_names([first, third], table) is None
