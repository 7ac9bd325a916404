"""Splits that share classes or rows: refused or reported by training and by evaluation."""

import shutil

import numpy as np
import pytest

from leo_tf import InputError, RunConfig
from leo_tf.classification.evaluation import ClassificationEvaluation
from leo_tf.classification.problem import Classification
from leo_tf.config import DataConfig
from leo_tf.problem import EvaluationRequest

DIM, ROWS = 4, 12  # per split


@pytest.fixture
def overlaps(tmp_path, caplog):
    """A function that writes splits of {split: (rows, labels)}, those not given being distinct, and returns the lines
    that training, or the evaluation of a split, writes about them."""

    def lines(evaluated=None, splits=(), data=(), remove=()):
        (tmp_path / "own").mkdir()
        for split in {"train", "val", "test"} - set(remove):
            rows, labels = dict(splits).get(split, (None, None))
            rows = rows_of(split) if rows is None else rows
            labels = np.repeat([f"{split}{n}" for n in range(3)], len(rows) // 3) if labels is None else labels
            np.savez(tmp_path / "own" / f"{split}.npz", embeddings=rows, labels=labels)
        config = DataConfig(
            data_path=str(tmp_path), dataset_name="own", cache_dir=str(tmp_path / "cache"), **dict(data)
        )
        trained = RunConfig(data=config)
        if evaluated is None:
            (tmp_path / "own" / "test.npz").unlink(missing_ok=True)  # training does not open it
            assert Classification(trained).data_record
        else:
            record = {} if "train" in remove else Classification(trained).data_record
            caplog.clear()
            request = EvaluationRequest(split=evaluated)
            assert ClassificationEvaluation(trained, request, trained, record).table.num_rows
        return [record.message.partition("own/")[2] for record in caplog.records if "rows" in record.message]

    return lines


def rows_of(split):
    return np.random.default_rng(["train", "val", "test"].index(split)).normal(size=(ROWS, DIM))


@pytest.mark.parametrize("evaluated", [None, "test", "val"])
def test_distinct_splits_are_silent(overlaps, evaluated):
    assert overlaps(evaluated) == []


@pytest.mark.parametrize("other", ["train", "val"])
def test_a_class_in_two_splits_is_refused(overlaps, other):
    names = [*["wren"] * 4, *["owl"] * 4, *[f"{other}2"] * 4]
    with pytest.raises(InputError, match=rf"test\.npz: 1 of its classes .* the first is '{other}2'; expected"):
        overlaps("test", {"test": (None, names)})


def test_training_refuses_a_class_of_validation_too(overlaps):
    with pytest.raises(InputError, match=r"val\.npz: 1 of its classes .* the first is 'train1'"):
        overlaps(None, {"val": (None, [*["train1"] * 6, *["owl"] * 6])})


@pytest.mark.parametrize("evaluated", [None, "test"])
def test_integer_labels_may_repeat(overlaps, evaluated):
    labels = np.repeat([-1, 0, 1], 4)
    assert overlaps(evaluated, {split: (None, labels) for split in ("train", "val", "test")}) == []


@pytest.mark.parametrize(
    ("evaluated", "same", "expected"),
    [
        ("test", ("train", "test"), "test.npz: 12 of 12 test rows are also training rows."),
        ("test", ("val", "test"), "test.npz: 12 of 12 test rows are also validation rows."),
        (None, ("train", "val"), "val.npz: 12 of 12 validation rows are also training rows."),
        ("val", ("train", "val"), "val.npz: 12 of 12 validation rows are also training rows."),
        ("train", ("train", "val"), "train.npz: 12 of 12 training rows are also validation rows."),
    ],
)
def test_rows_of_two_splits_under_other_names(overlaps, evaluated, same, expected):
    rows = np.random.default_rng(9).normal(size=(ROWS, DIM))
    assert overlaps(evaluated, {same[0]: (rows, None), same[1]: (rows[::-1], None)}) == [expected]


def test_rows_that_stand_twice(overlaps):
    """Part of the rows is also in the training split: one line has both."""
    twice = np.repeat([*rows_of("train")[:3], *rows_of("test")[:9]], 2, axis=0)
    expected = "test.npz: 6 of 24 test rows are also training rows; 12 of 24 test rows repeat another one."
    assert overlaps("test", {"test": (twice, None)}) == [expected]


def test_training_counts_rows_that_stand_twice(overlaps):
    assert overlaps(None, {"train": (np.repeat(rows_of("train"), 2, axis=0), None)}) == [
        "train.npz: 12 of 24 training rows repeat another one."
    ]


@pytest.mark.parametrize("evaluated", [None, "val", "test"])
def test_train_on_val_is_silent(overlaps, evaluated):
    assert overlaps(evaluated, data={"train_on_val": True}) == []


def test_another_data_set_may_have_the_same_class_names(overlaps, tmp_path, caplog):
    overlaps()
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "own" / "train.npz", tmp_path / "other" / "test.npz")
    trained, other = (
        RunConfig(data=DataConfig(data_path=str(tmp_path), dataset_name=name, cache_dir=str(tmp_path / "cache")))
        for name in ("own", "other")
    )
    record = Classification(trained).data_record
    assert ClassificationEvaluation(other, EvaluationRequest(), trained, record).table.num_rows == ROWS
    assert "12 of 12 test rows are also training rows." in caplog.text


def test_evaluates_where_training_data_are_missing(overlaps):
    assert overlaps("test", remove=("train", "val")) == []
