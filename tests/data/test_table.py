"""EmbeddingTable: the order and values of its rows, and the files that `load` finds."""

import dataclasses
import json
import pickle
import sys
import types

import numpy as np
import pytest

from leo_tf.data import EmbeddingTable
from leo_tf.errors import InputError

EMBEDDINGS = np.array([[3, 4], [0, 0], [-5, 12], [8, 6], [1, 0]], np.float32)
LABELS = ["cat", "ant", "ant", "cat", "bee"]
SORTED = [[0, 0], [-5 / 13, 12 / 13], [1, 0], [0.6, 0.8], [0.8, 0.6]]


@pytest.fixture
def data(tmp_path):
    """A data_path with dataset "own" in the official layout: test is EMBEDDINGS, train and val have other classes."""
    folder = tmp_path / "data" / "own" / "center"
    folder.mkdir(parents=True)
    for split, prefix in (("train", "tr"), ("val", "va"), ("test", "")):
        keys = [f"x-{prefix}{label}-{prefix}{label}_{row}" for row, label in enumerate(LABELS)]
        content = {"embeddings": EMBEDDINGS, "keys": keys}
        (folder / f"{split}_embeddings.pkl").write_bytes(pickle.dumps(content, 2))
    return tmp_path / "data"


@pytest.fixture
def load(data, tmp_path):
    return lambda *args, **kwargs: EmbeddingTable.load(data, *args, cache_dir=tmp_path / "cache", **kwargs)


def check_sorted(table: EmbeddingTable) -> None:
    assert table.class_names == ("ant", "bee", "cat")
    np.testing.assert_array_equal(table.class_sizes, [2, 1, 2])
    np.testing.assert_array_equal(table.class_offsets, [0, 2, 3])
    assert table.class_sizes.dtype == table.class_offsets.dtype == np.int64
    np.testing.assert_allclose(table.embeddings, SORTED, rtol=1e-7)
    assert table.embeddings.dtype == np.float32
    assert (table.dim, table.num_classes, table.num_rows, table.normalized) == (2, 3, 5, True)


# Arrays


def test_sorts_rows_by_class_and_scales_them():
    check_sorted(EmbeddingTable.from_arrays(EMBEDDINGS, LABELS))
    check_sorted(EmbeddingTable.from_arrays(EMBEDDINGS.tolist(), np.array(LABELS)))
    check_sorted(EmbeddingTable.from_dict({"cat": EMBEDDINGS[[0, 3]], "ant": EMBEDDINGS[1:3], "bee": EMBEDDINGS[4:]}))


def test_duplicates_within_a_class_are_left_out():
    rows = np.eye(4, dtype=np.float32)[[0, 1, 0, 2, 0, 1, 3, 3, 3]]
    table = EmbeddingTable.from_arrays(rows, list("aaaabbccc"))
    found = table.without_duplicates()
    np.testing.assert_array_equal(found.class_sizes, [3, 2, 1])
    np.testing.assert_array_equal(found.embeddings, np.eye(4)[[0, 1, 2, 0, 1, 3]])
    assert found.digest != table.digest and found.source == "arrays, without duplicates"
    assert found.without_duplicates() is found
    kept = table.without_duplicates(at_least=2)  # the third class has no two different rows
    np.testing.assert_array_equal(kept.class_sizes, [3, 2, 2])
    assert table.without_duplicates(at_least=4).class_sizes.tolist() == [4, 2, 3]


def test_keeps_lengths_on_request():
    table = EmbeddingTable.from_arrays(EMBEDDINGS, LABELS, normalize=False)
    np.testing.assert_array_equal(table.embeddings, EMBEDDINGS[[1, 2, 4, 0, 3]])
    assert not table.normalized


def test_numbers_sort_by_value():
    table = EmbeddingTable.from_arrays(np.eye(4), [10, 9, 100, 9])
    assert table.class_names == ("9", "10", "100")
    np.testing.assert_array_equal(table.embeddings, np.eye(4)[[1, 3, 0, 2]])


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int16])
def test_any_number_type_becomes_float32(dtype):
    check_sorted(EmbeddingTable.from_arrays(EMBEDDINGS.astype(dtype), LABELS))


def test_scales_rows_whose_squares_leave_float32():
    table = EmbeddingTable.from_arrays(np.array([[3e30, 4e30], [3e-30, 4e-30]]), [0, 1])
    np.testing.assert_allclose(table.embeddings, [[0.6, 0.8], [0.6, 0.8]], rtol=1e-6)


def test_is_immutable_and_shares_nothing():
    given = EMBEDDINGS[:1].copy()
    table = EmbeddingTable.from_arrays(given, ["a"], normalize=False)
    given[:] = 7
    np.testing.assert_array_equal(table.embeddings, EMBEDDINGS[:1])
    for array in (table.embeddings, table.class_sizes):
        with pytest.raises(ValueError, match=r"read-only"):
            array[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.source = "elsewhere"  # type: ignore[misc]


def test_digest_tells_contents_apart_and_nothing_else():
    digest = EmbeddingTable.from_arrays(EMBEDDINGS, LABELS).digest
    assert digest == "29b01a1f5897665f0eb8366556905ded3081be28f2244046190103c2e2e07452"
    order = [4, 1, 0, 2, 3]
    assert digest == EmbeddingTable.from_arrays(EMBEDDINGS[order], np.array(LABELS)[order]).digest
    assert digest == EmbeddingTable.from_arrays(EMBEDDINGS.astype(np.float16), LABELS, source="other").digest
    others = [
        EmbeddingTable.from_arrays(EMBEDDINGS, LABELS, normalize=False),
        EmbeddingTable.from_arrays(EMBEDDINGS * 2, LABELS),
        EmbeddingTable.from_arrays(EMBEDDINGS, ["cow", *LABELS[1:]]),
        EmbeddingTable.from_arrays(EMBEDDINGS[:, ::-1], LABELS),
    ]
    assert len({digest, *(table.digest for table in others)}) == 5


def test_summary_is_one_line():
    summary = EmbeddingTable.from_arrays(EMBEDDINGS, LABELS, source="mine").summary()
    assert summary.startswith("mine: 3 classes x 1 to 2 rows (5), dim 2, unit length, sha256 ")
    assert (
        "2 classes x 1 rows (2), dim 2, length as given"
        in EmbeddingTable.from_arrays(np.eye(2), [0, 1], False).summary()
    )


@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        (EMBEDDINGS, LABELS[:4], "5 embeddings but 4 labels"),
        (EMBEDDINGS[0], [1, 2], "expected two axes"),
        (EMBEDDINGS[:0], [], "hold no numbers"),
        ([["a"]], [1], "embeddings of type <U1"),
        ([[np.nan, 1], [1, 1]], [1, 2], "1 of 2 rows hold NaN.*first is row 0"),
        (np.eye(2), [1.5, 2.5], "label 1.5; expected a non-empty string or an integer"),
        (np.eye(2), ["a", None], "label NoneType; expected"),
        (np.eye(2), np.eye(2, dtype=int), "label list; expected"),
    ],
)
def test_refuses_bad_arrays(embeddings, labels, message):
    with pytest.raises(InputError, match=message):
        EmbeddingTable.from_arrays(embeddings, labels)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({}, "no classes; expected a dict"),
        ({"a": np.eye(2), "b": np.ones((1, 3))}, r"class 'b' has embeddings of shape \(1, 3\)"),
        ({"a": np.ones(2)}, r"class 'a' has embeddings of shape \(2,\)"),
        ({"a": np.ones((0, 2))}, r"class 'a' has embeddings of shape \(0, 2\)"),
    ],
)
def test_refuses_bad_dicts(classes, message):
    with pytest.raises(InputError, match=message):
        EmbeddingTable.from_dict(classes)


def test_join_lays_tables_one_after_another():
    first = EmbeddingTable.from_arrays(EMBEDDINGS, LABELS, source="one")
    second = EmbeddingTable.from_dict({"aardvark": np.array([[0.0, 2.0]])}, source="two")
    joined = EmbeddingTable.join([first, second])
    assert joined.class_names == ("ant", "bee", "cat", "aardvark")
    np.testing.assert_array_equal(joined.class_offsets, [0, 2, 3, 5])
    np.testing.assert_allclose(joined.embeddings, [*SORTED, [0, 1]], rtol=1e-7)
    assert joined.source == "one + two"
    assert EmbeddingTable.join([first]) is first


def test_join_refuses_what_does_not_fit():
    table = EmbeddingTable.from_arrays(EMBEDDINGS, LABELS, source="mine")
    with pytest.raises(InputError, match=r"mine: 3 of its classes are in the other splits too, the first is 'ant'"):
        EmbeddingTable.join([table, table])
    for other in (EmbeddingTable.from_arrays([[1.0]], ["x"]), EmbeddingTable.from_arrays(EMBEDDINGS, range(5), False)):
        with pytest.raises(InputError, match=r"Cannot join .*expected the same dim and normalisation"):
            EmbeddingTable.join([table, other])
    with pytest.raises(InputError, match=r"No tables to join"):
        EmbeddingTable.join([])


# Files


def test_load_reads_the_official_layout_now_and_from_the_cache(load):
    for _ in range(2):
        table = load("own", "test")
        check_sorted(table)
        assert table.source.endswith("own/center/test_embeddings.pkl")
        assert table.digest == EmbeddingTable.from_arrays(EMBEDDINGS, LABELS).digest
    np.testing.assert_array_equal(load("own", "test", normalize=False).embeddings, EMBEDDINGS[[1, 2, 4, 0, 3]])


def test_load_finds_every_format_in_order(data, load):
    center = data / "own" / "center"
    plain = data / "own"
    finds = [
        center / "test_embeddings.pkl",
        center / "test_embeddings.npz",
        center / "test_embeddings.npy",
        plain / "test.npz",
        plain / "test.npy",
    ]
    for path in (finds[1], finds[3]):
        np.savez(path, embeddings=EMBEDDINGS, labels=LABELS)
    for path in (finds[2], finds[4]):
        np.save(path, EMBEDDINGS)
        path.with_suffix(".json").write_text(json.dumps(LABELS))
    for path in finds:
        table = load("own", "test")
        assert table.source == str(path)
        check_sorted(table)
        path.unlink()
    with pytest.raises(InputError, match=r"own/center/test_embeddings.pkl: not found"):
        load("own", "test")


def test_train_on_val_joins_the_splits(load):
    joined = load("own", "train", train_on_val=True)
    expected = EmbeddingTable.join([load("own", "train"), load("own", "val")])
    assert joined.class_names == expected.class_names == ("trant", "trbee", "trcat", "vaant", "vabee", "vacat")
    np.testing.assert_array_equal(joined.embeddings, expected.embeddings)
    assert (joined.digest, joined.source) == (expected.digest, expected.source)
    for split in ("val", "test"):
        assert load("own", split, train_on_val=True).digest == load("own", split).digest


def test_train_on_val_refuses_shared_classes(data, load):
    center = data / "own" / "center"
    (center / "val_embeddings.pkl").write_bytes((center / "train_embeddings.pkl").read_bytes())
    with pytest.raises(InputError, match=r"val_embeddings.pkl: 3 of its classes are in the other splits too"):
        load("own", "train", train_on_val=True)


def test_load_refuses_unknown_names(load):
    with pytest.raises(InputError, match=r"Unknown split 'valid'; expected one of train, val, test"):
        load("own", "valid")
    with pytest.raises(InputError, match=r"Unknown embedding_crop 'left'; expected one of center, multiview"):
        load("own", "test", embedding_crop="left")


def test_load_says_where_a_file_is_expected(load, data):
    with pytest.raises(
        InputError, match=rf"{data}/mine/multiview/val_embeddings.pkl: not found.*mine/val.npz.*quickstart"
    ):
        load("mine", "val", embedding_crop="multiview")


def test_load_passes_on_what_is_wrong_with_a_file(data, load):
    (data / "own" / "center" / "test_embeddings.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InputError, match=r"test_embeddings.pkl: the pickle asks for 'os.system'"):
        load("own", "test")


def test_glyphs_need_no_file(monkeypatch):
    built_in = types.ModuleType("leo_tf.data.glyphs")
    built_in.load_split = lambda split: (EMBEDDINGS.astype(np.float16), [f"{split}-{label}" for label in LABELS])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "leo_tf.data.glyphs", built_in)
    table = EmbeddingTable.load(None, "glyphs", "train", train_on_val=True)
    assert table.class_names == ("train-ant", "train-bee", "train-cat", "val-ant", "val-bee", "val-cat")
    assert table.source == "glyphs/train + glyphs/val"
    np.testing.assert_allclose(table.embeddings, SORTED * 2, rtol=1e-7)
