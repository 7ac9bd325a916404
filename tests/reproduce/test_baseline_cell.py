"""Baselines as cells of the table."""

import numpy as np
import pytest

from leo_tf.classification import draw_tasks
from leo_tf.classification.baselines import model_selection
from leo_tf.classification.evaluation import load_table
from leo_tf.config import DataConfig, EpisodeConfig, RunConfig
from leo_tf.reproduce import baseline_cell, plan


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Three small splits of random clusters, and few validation tasks."""
    monkeypatch.setattr(model_selection, "VALIDATION_TASKS", 4)
    rng = np.random.default_rng(0)
    (tmp_path / "own").mkdir()
    for split in ("train", "val", "test"):
        rows = rng.normal(size=(6, 1, 8)) + 0.7 * rng.normal(size=(6, 9, 8))
        labels = np.repeat([f"{split}{n}" for n in range(6)], 9)
        np.savez(tmp_path / "own" / f"{split}.npz", embeddings=rows.reshape(-1, 8), labels=labels)
    data = DataConfig(data_path=str(tmp_path), dataset_name="own", cache_dir=str(tmp_path / "cache"))
    return RunConfig(data=data, episodes=EpisodeConfig(num_classes=3, num_tr_examples_per_class=2))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.long] * n.startswith("logistic_regression")) for n in plan.BASELINES]
)
def test_baseline_has_the_tasks_of_evaluate_and_the_best_hyperparameter_on_validation(config, name):
    result, report = baseline_cell.evaluate(config, 5, name)
    assert result.tasks_digest == draw_tasks(load_table(config.data, "test"), 3, 2, num_tasks=5).digest
    assert result.num_tasks == 5 and result.algorithm.lower() == plan.ROWS[name].lower()
    assert result.accuracy.mean > 1 / 3 and result.nearest_class_mean.mean > 1 / 3
    if "nearest" in name:
        assert result.model_fingerprint == result.algorithm and "validation_accuracy" not in report
    else:
        strength = next(key for key in ("C", "penalty", "shrinkage") if key in report)
        chosen = report["validation_accuracy"][f"{report[strength]:g}"]
        assert chosen == max(report["validation_accuracy"].values())
        assert result.model_fingerprint == f"{result.algorithm}, {strength}={report[strength]:g}"
    if name == "nearest_class_mean":
        np.testing.assert_array_equal(result.task_accuracy, result.task_baselines[0])
