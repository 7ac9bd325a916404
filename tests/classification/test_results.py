"""Results of an evaluation: baselines task by task, and the difference to the best of them."""

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


def test_difference_to_the_best_baseline(tmp_path):
    names = np.array(["nearest class mean", "ridge", "LDA"])
    EvaluationResult(**REST, baseline_names=names, task_baselines=BASELINES).save(tmp_path / "r.npz")
    result = EvaluationResult.load(tmp_path / "r.npz")
    np.testing.assert_array_equal(result.task_baselines, BASELINES)
    assert list(result.baselines) == names.tolist() and result.best_baseline == "ridge"
    assert result.nearest_class_mean.mean == pytest.approx(0.45, rel=1e-6)
    comparison = compare_paired(ACCURACY, BASELINES[1])
    assert result.difference_to_best_baseline == comparison
    assert comparison.difference.mean == pytest.approx(0.075) and comparison.wins == 3
    summary = result.summary()
    assert summary["baselines"]["ridge"]["mean"] == pytest.approx(0.6)
    assert summary["difference_to_best_baseline"] == {"name": "ridge", **comparison.difference._asdict()}
    assert summary["nearest_class_mean"]["mean"] == pytest.approx(0.45)
    lines = str(result).splitlines()
    assert lines[0].startswith("LEO 67.50 +- ") and lines[2] == "  ridge               60.00 +- 12.99 %"
    assert lines[-1].startswith("LEO minus ridge, the best baseline: +7.50 +- ") and len(lines) == 5


def test_files_that_are_not_results_are_refused(tmp_path):
    npz.write(tmp_path / "bad.npz", **REST)
    with pytest.raises(InputError, match=r"bad\.npz is corrupt .*baseline_names"):
        EvaluationResult.load(tmp_path / "bad.npz")
    with pytest.raises(InputError, match=r"Cannot read .*none\.npz"):
        EvaluationResult.load(tmp_path / "none.npz")
