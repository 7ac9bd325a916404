"""The three formats of embeddings, and every way in which a file can be invalid."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from leo_tf.data.readers import read_split, split_files
from leo_tf.errors import InputError

FIXTURES = Path(__file__).parent / "fixtures"
EMBEDDINGS = np.arange(12, dtype=np.float32).reshape(4, 3) - 5
KEYS = ["x-n02-n02_7.png", "x-n01-n01_1.png", "x-n02-n02_8.png", "x-n10-n10_1.png"]


@pytest.fixture
def pickled(tmp_path):
    def write(content, protocol=2) -> Path:
        path = tmp_path / "train_embeddings.pkl"
        path.write_bytes(pickle.dumps(content, protocol))
        return path

    return write


@pytest.fixture
def npz(tmp_path):
    def write(**arrays) -> Path:
        np.savez(tmp_path / "train.npz", **arrays)
        return tmp_path / "train.npz"

    return write


@pytest.fixture
def npy(tmp_path):
    def write(embeddings, labels_json: str | None) -> Path:
        np.save(tmp_path / "train.npy", embeddings)
        if labels_json is not None:
            (tmp_path / "train.json").write_text(labels_json)
        return tmp_path / "train.npy"

    return write


def refuse(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_split(path)
    assert path.stem in str(caught.value)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8])
def test_pickle_takes_classes_from_the_keys(pickled, dtype):
    rows = (EMBEDDINGS + 5).astype(dtype)
    split = read_split(pickled({"embeddings": rows, "keys": KEYS, "labels": [0, 0, 0, 0]}))
    np.testing.assert_array_equal(split.embeddings, rows)
    assert split.embeddings.dtype == dtype
    assert split.labels == ["n02", "n01", "n02", "n10"]


def test_pickle_of_python2():
    for name in ("py2_p0.pkl", "py2_p2.pkl"):
        split = read_split(FIXTURES / name)
        assert split.labels == ["1", "2", "3"]
        np.testing.assert_array_equal(split.embeddings, np.arange(12).reshape(3, 4))


@pytest.mark.parametrize("keys", [tuple(KEYS), np.array(KEYS), np.array(KEYS, "S")], ids=["tuple", "text", "bytes"])
def test_pickle_takes_keys_of_any_kind(pickled, keys):
    assert read_split(pickled({"embeddings": EMBEDDINGS, "keys": keys})).labels == ["n02", "n01", "n02", "n10"]


def test_pickle_without_keys_uses_the_labels(pickled):
    assert read_split(pickled({"embeddings": EMBEDDINGS, "labels": np.array([3, 1, 3, 2])})).labels == [3, 1, 3, 2]
    assert read_split(pickled({"embeddings": EMBEDDINGS, "labels": ["a-b", "c", "c", "c"]})).labels[0] == "a-b"


def test_npz_and_npy_hold_embeddings_and_labels(npz, npy):
    for labels in (["b", "a", "b", "c"], [2, 1, 2, 3]):
        split = read_split(npz(embeddings=EMBEDDINGS, labels=labels, unrelated=1))
        np.testing.assert_array_equal(split.embeddings, EMBEDDINGS)
        assert split.labels == labels
        for content in (labels, {"labels": labels}):
            split = read_split(npy(EMBEDDINGS, json.dumps(content)))
            np.testing.assert_array_equal(split.embeddings, EMBEDDINGS)
            assert split.labels == labels
            assert isinstance(split.embeddings, np.memmap)


def test_split_files_names_the_labels_too(tmp_path):
    assert split_files(tmp_path / "a.npz") == (tmp_path / "a.npz",)
    assert split_files(tmp_path / "a.npy") == (tmp_path / "a.npy", tmp_path / "a.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds something of type list; expected a dict with an array 'embeddings'"),
        ({"x": 1}, "holds 'x'; expected a dict"),
        ({"embeddings": [[1.0]], "keys": ["a-b-c"]}, "expected a dict with an array 'embeddings'"),
        ({"embeddings": EMBEDDINGS}, "expected 'keys' or 'labels'"),
        ({"embeddings": EMBEDDINGS, "keys": KEYS[:3]}, "4 embeddings but 3 labels"),
        ({"embeddings": EMBEDDINGS, "keys": "abcd"}, "'keys' is something of type str; expected a list"),
        (
            {"embeddings": EMBEDDINGS, "keys": [*KEYS[:2], "n02_8.png", "?"]},
            "key 'n02_8.png' of row 2; expected the form",
        ),
        ({"embeddings": EMBEDDINGS, "keys": ["x-my-class-1_1"] * 4}, "key 'x-my-class-1_1' of row 0.*give 'labels'"),
        ({"embeddings": EMBEDDINGS, "keys": ["x--_1"] * 4}, "key 'x--_1' of row 0"),
        ({"embeddings": EMBEDDINGS, "keys": [7] * 4}, "key 7 of row 0"),
        ({"embeddings": EMBEDDINGS[0], "labels": [1, 2, 3]}, r"shape \(3,\); expected two axes"),
        ({"embeddings": EMBEDDINGS.reshape(4, 1, 3), "keys": KEYS}, r"shape \(4, 1, 3\); expected two axes"),
        ({"embeddings": np.array([["a"]]), "labels": [1]}, "embeddings of type <U1; expected float16"),
        ({"embeddings": np.array([[True]]), "labels": [1]}, "embeddings of type bool; expected float16"),
    ],
)
def test_refuses_pickles_without_embeddings(pickled, content, message):
    refuse(pickled(content), message)


def test_does_not_print_a_nested_value(pickled):
    nested = ["a"]
    for _ in range(80):
        nested = [nested, nested]  # its repr has 2^80 letters
    refuse(pickled({"embeddings": EMBEDDINGS, "keys": [nested] * 4}), "key list of row 0")


def test_refuses_empty_arrays(npz):
    refuse(npz(embeddings=np.zeros((0, 3)), labels=[]), r"shape \(0, 3\) hold no numbers")
    refuse(npz(embeddings=np.zeros((3, 0)), labels=[1, 2, 3]), r"shape \(3, 0\) hold no numbers")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_counts_rows_that_are_not_finite(npz, bad):
    embeddings = np.zeros((20000, 2))
    embeddings[[9001, 9002, 19999], 1] = bad
    refuse(npz(embeddings=embeddings, labels=[1] * 20000), "3 of 20000 rows hold NaN, infinity.*first is row 9001")


def test_refuses_corrupt_archives(npz, tmp_path):
    path = npz(embeddings=EMBEDDINGS)
    refuse(path, "holds 'embeddings'; expected an .npz with the arrays 'embeddings' and 'labels'")
    whole = npz(embeddings=EMBEDDINGS, labels=["a"] * 4).read_bytes()
    path.write_bytes(whole[:-30])
    refuse(path, "missing, truncated or not an archive")
    path.write_bytes(whole.replace(b"'<f4'", b"'<f9'"))
    refuse(path, r"is corrupt \(.*\); expected an .npz")
    path.write_text("<html>")
    refuse(path, "missing, truncated or not an archive")
    path.unlink()
    refuse(path, "missing, truncated or not an archive")
    refuse(npz(embeddings=EMBEDDINGS, labels=np.array([None] * 4)), "is corrupt .*Object arrays")
    refuse(npz(embeddings=EMBEDDINGS, labels="a"), r"'labels' is an array of shape \(\)")


def test_refuses_corrupt_npy_and_json(npy, tmp_path):
    refuse(npy(EMBEDDINGS, None), r"Cannot read .*train.json \(No such file.*label of each row of train.npy")
    refuse(npy(EMBEDDINGS, "[1, 2"), "train.json is corrupt")
    refuse(npy(EMBEDDINGS, "[" * 100_000), "train.json is corrupt")
    refuse(npy(EMBEDDINGS, '{"classes": []}'), "train.json: 'labels' is something of type NoneType")
    refuse(npy(EMBEDDINGS, "[1, 2]"), "4 embeddings but 2 labels")
    path = npy(EMBEDDINGS, "[1, 1, 1, 1]")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    refuse(path, r"is corrupt \(.*\); expected an .npy")
    path.write_bytes(whole[:20])
    refuse(path, r"is corrupt \(.*\); expected an .npy")
    refuse(npy(np.array([None]), "[1]"), "is corrupt .*Python objects")


def test_refuses_unknown_extensions(tmp_path):
    refuse(tmp_path / "train.csv", "unknown extension '.csv'; expected .pkl, .npz, .npy")
