"""Results of an evaluation: baselines task by task, the difference from the best of them, and files of before."""

import numpy as np
import pytest

from leo_tf import InputError
from leo_tf.classification.results import EvaluationResult
from leo_tf.evaluation import compare_paired
from leo_tf.files import npz

ACCURACY = np.array([0.5, 0.7, 0.6, 0.9], np.float32)
BASELINES = np.array([[0.4, 0.3, 0.6, 0.5], [0.6, 0.6, 0.5, 0.7], [0.1, 0.2, 0.3, 0.4]], np.float32)
REST = dict(
    task_accuracy=ACCURACY, task_loss=1 - ACCURACY, ways=5, shots=1, queries=10, seed=0, stream=3,
    data_digest="d" * 64, tasks_digest="t" * 64, model_fingerprint="f", algorithm="LEO", seconds=1.0,
)  # fmt: skip


def test_baselines_and_the_best_of_them(tmp_path):
    names = np.array(["nearest class mean", "ridge", "LDA"])
    EvaluationResult(**REST, baseline_names=names, task_baselines=BASELINES).save(tmp_path / "r.npz")
    result = EvaluationResult.load(tmp_path / "r.npz")
    np.testing.assert_array_equal(result.task_baselines, BASELINES)
    assert list(result.baselines) == names.tolist() and result.best_baseline == "ridge"
    assert result.nearest_class_mean.mean == pytest.approx(0.45, rel=1e-6)
    comparison = compare_paired(ACCURACY, BASELINES[1])
    assert result.less_best_baseline == comparison and comparison.difference.mean == pytest.approx(0.075)
    summary = result.summary()
    assert summary["baselines"]["ridge"]["mean"] == pytest.approx(0.6) and summary["best_baseline"] == "ridge"
    assert summary["less_best_baseline"]["wins"] == 3 and summary["nearest_class_mean"]["mean"] == pytest.approx(0.45)
    lines = str(result).splitlines()
    assert lines[0].startswith("LEO 67.50 +- ") and lines[2] == "  ridge               60.00 +- 12.99 %"
    assert lines[-1].startswith("LEO less ridge, the best of these: +7.50 +- ") and len(lines) == 5


@pytest.mark.parametrize(
    "more,names",
    [
        ({}, ["nearest class mean"]),
        ({"task_transformed_mean": np.zeros(0, np.float32)}, ["nearest class mean"]),
        ({"task_transformed_mean": BASELINES[1]}, ["nearest class mean", "nearest class mean, transformed"]),
    ],
)
def test_older_files_load(tmp_path, more, names):
    npz.write(tmp_path / "old.npz", **REST, task_nearest_class_mean=BASELINES[0], **more)
    result = EvaluationResult.load(tmp_path / "old.npz")
    assert result.baseline_names.tolist() == names
    np.testing.assert_array_equal(result.task_baselines, BASELINES[: len(names)])
    np.testing.assert_array_equal(result.task_accuracy, ACCURACY)


def test_what_is_neither_is_refused(tmp_path):
    npz.write(tmp_path / "bad.npz", **REST)
    with pytest.raises(InputError, match=r"bad\.npz is corrupt .*baseline_names"):
        EvaluationResult.load(tmp_path / "bad.npz")
    with pytest.raises(InputError, match=r"Cannot read .*none\.npz"):
        EvaluationResult.load(tmp_path / "none.npz")
