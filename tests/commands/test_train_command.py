"""The closing message of train.py."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from leo_tf.classification.leo import LEO
from leo_tf.classification.problem import Classification
from leo_tf.commands.train import closing_message
from leo_tf.config import DataConfig, EpisodeConfig, LEOConfig, RunConfig, TrainingConfig


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    """A problem of three ways, on data with two test classes."""
    path = tmp_path_factory.mktemp("data")
    (path / "own").mkdir()
    rng = np.random.default_rng(0)
    for split, classes in {"train": 4, "val": 3, "test": 2}.items():
        labels = np.repeat([f"{split}{number}" for number in range(classes)], 3)
        np.savez(path / "own" / f"{split}.npz", embeddings=rng.normal(size=(len(labels), 6)), labels=labels)
    data = DataConfig(data_path=str(path), dataset_name="own", cache_dir=str(path / "cache"))
    training = TrainingConfig(num_steps_limit=6000, patience=3, checkpoint_steps=500)
    return Classification(RunConfig(LEOConfig(num_latents=2), data, EpisodeConfig(num_classes=3), training))


def ended(problem, steps, best, impatient):
    learner = LEO(problem.config.model, 6)
    work = SimpleNamespace(problem=problem, learner=learner, settings=problem.config.training, validate=max)
    checkpoints = SimpleNamespace(best=best, step=steps)
    folder = SimpleNamespace(path=Path("runs/own"))
    return SimpleNamespace(work=work, checkpoints=checkpoints, folder=folder, is_out_of_patience=impatient)


def test_the_message_has_the_best_validation_and_the_next_commands(problem):
    text = closing_message(ended(problem, 6000, (0.7, 5500), False), 6000)
    assert text == (
        "Trained 6000 steps in runs/own; best validation accuracy 70.00 % at step 5500.\n"
        "Next: python evaluate.py --checkpoint_path=runs/own --num_classes=2\n"
        "See:  tensorboard --logdir=runs"
    )


def test_the_message_names_the_command_group_if_that_was_called(problem, monkeypatch):
    monkeypatch.setattr("sys.argv", ["leo-tf train"])
    assert "\nNext: leo-tf evaluate --checkpoint_path=runs/own" in closing_message(
        ended(problem, 6000, (0.7, 5500), False), 6000
    )


def test_the_message_says_that_patience_stopped_the_run(problem):
    text = closing_message(ended(problem, 2000, (0.5, 500), True), 2000)
    assert text.startswith("Trained 2000 of 6000 steps in runs/own, stopped by patience=3; best validation accuracy 50")


def test_the_message_says_that_training_did_not_improve(problem):
    text = closing_message(ended(problem, 1000, (0.5, 0), True), 1000)
    assert "50.00 % at step 0, the initial state, on which training did not improve.\n" in text


def test_the_message_names_a_baseline_above_the_best_model(problem, monkeypatch):
    monkeypatch.setattr(problem, "_baselines", {"nearest class mean": 0.4, "logistic regression, PLDA": 0.6})
    end = "best validation accuracy 50.00 % at step 500"
    assert f"{end}, below logistic regression, PLDA (60.00 %).\n" in closing_message(
        ended(problem, 6000, (0.5, 500), False), 6000
    )
    monkeypatch.setattr(problem, "_baselines", {"nearest class mean": 0.4})
    assert f"{end}.\n" in closing_message(ended(problem, 6000, (0.5, 500), False), 6000)


@pytest.mark.parametrize(("ways", "dataset"), [(2, "own"), (3, "not there")])
def test_no_evaluation_settings_if_none_are_needed_or_there_is_no_test_split(problem, ways, dataset):
    config = problem.config
    data, episodes = dataclasses.replace(config.data, dataset_name=dataset), EpisodeConfig(num_classes=ways)
    other = Classification(dataclasses.replace(config, data=data, episodes=episodes))
    assert other.evaluation_settings(LEO(config.model, 6)) == {}
