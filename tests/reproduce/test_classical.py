"""Logistic regression as a cell of the table."""

import pytest

from leo_tf.classification import draw_tasks
from leo_tf.classification.evaluation import load_table
from leo_tf.config import DataConfig, EpisodeConfig, RunConfig
from leo_tf.reproduce import classical


@pytest.fixture(scope="module")
def config():
    return RunConfig(data=DataConfig(dataset_name="glyphs"), episodes=EpisodeConfig(num_classes=3))


def test_it_is_scored_on_the_tasks_of_evaluate_with_the_best_strength_in_validation(config, monkeypatch):
    monkeypatch.setattr(classical, "_VALIDATION_TASKS", 3)
    monkeypatch.setattr(classical, "_STRENGTHS", (0.1, 10.0))
    result, about = classical.evaluate(config, num_tasks=4)
    assert result.tasks_digest == draw_tasks(load_table(config.data, "test"), 3, 1, num_tasks=4).digest
    assert result.num_tasks == 4 and result.algorithm == "logistic regression"
    assert about["validation_accuracy"][about["C"]] == max(about["validation_accuracy"].values())
    assert result.model_fingerprint == f"logistic regression, C={about['C']}"
    assert result.accuracy.mean > 1 / 3 and result.nearest_class_mean.mean > 1 / 3
