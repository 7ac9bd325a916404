"""Evaluation on a grid: its shapes and numbers, unequal tasks, and the shapes at which a baseline is better."""

import dataclasses
import json

import numpy as np
import pytest
from saved_runs import save_run

from leo_tf import LEO, LEOConfig
from leo_tf.classification.baselines import nearest_class_mean, ridge
from leo_tf.classification.evaluation import evaluate_tasks
from leo_tf.classification.grid_evaluation import GridEvaluation
from leo_tf.classification.maml import MAML
from leo_tf.classification.tasks import draw_from, draw_unequal
from leo_tf.config import DataConfig, EpisodeConfig, MAMLConfig, RunConfig
from leo_tf.data import EpisodeSampler
from leo_tf.problem import EvaluationRequest

RUN = "run"
CONFIG = LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4)


def unequal_tasks(table, count=40):
    sampler = EpisodeSampler(table, 3, 4, 3)
    return sampler, draw_unequal(sampler, table.digest, count, seed=2)


def test_unequal_tasks_are_those_of_the_sampler_with_examples_left_out(table):
    sampler, tasks = unequal_tasks(table)
    whole = draw_from(sampler, table.digest, 40, seed=2)
    counts = (tasks.support_rows >= 0).sum(axis=2)
    assert tasks.unequal and not whole.unequal and set(counts.ravel()) == {1, 2, 3, 4}
    assert tasks.mean_shots == pytest.approx(counts.mean()) and whole.mean_shots == 4
    there = tasks.support_rows >= 0
    np.testing.assert_array_equal(tasks.support_rows[there], whole.support_rows[there])
    np.testing.assert_array_equal(tasks.query_rows, whole.rows(sampler)[:, :, 4:])
    np.testing.assert_array_equal(np.sort(~there, axis=2), ~there)  # those left out are the last
    assert draw_unequal(sampler, table.digest, 7, seed=2).digest == tasks.take(slice(7)).digest != whole.digest


def test_unequal_tasks_are_scored_as_lists_of_examples(table):
    _, tasks = unequal_tasks(table, 6)
    model = LEO(CONFIG, table.dim, seed=1)
    found = evaluate_tasks(model, table, tasks)
    for task in range(6):
        rows = tasks.support_rows[task]
        x = table.embeddings[rows[rows >= 0]]
        labels = np.repeat(np.arange(3), (rows >= 0).sum(axis=1))
        logits = model.classify(
            table.embeddings[tasks.query_rows[task]].reshape(1, 9, -1), model.adapt_imbalanced(x[None], labels[None])
        )
        right = np.mean(np.argmax(logits[0], axis=-1) == np.repeat(np.arange(3), 3))
        assert found.task_accuracy[task] == pytest.approx(right)


@pytest.mark.parametrize("fit", [nearest_class_mean, ridge])
def test_baselines_see_only_the_examples_that_are_there(table, fit):
    _, tasks = unequal_tasks(table, 6)
    x = table.embeddings[np.maximum(tasks.support_rows, 0)]
    labels = np.where(tasks.support_rows < 0, -1, np.arange(3)[:, None])
    found = fit(x, labels)
    x[tasks.support_rows < 0] = 100.0
    np.testing.assert_allclose(fit(x, labels).weights, found.weights, rtol=1e-5)


def test_shapes_follow_the_table_and_the_model(table):
    evaluation = GridEvaluation(
        RunConfig(episodes=EpisodeConfig(num_classes=3)), EvaluationRequest(baselines=("ridge",))
    )
    evaluation.__dict__.update(table=table, validation_table=table)
    smallest = int(table.class_sizes.min())
    shapes = [(tasks.ways, tasks.shots, tasks.unequal) for tasks in evaluation._drawn(3)]
    expected = [shots for shots in (1, 2, 5, 10, 20, 50) if shots + 5 <= smallest]
    assert shapes == [(3, shots, False) for shots in expected] + [(3, expected[-1], True)]
    sizes = np.full(table.num_classes, 7)
    smaller = dataclasses.replace(table, embeddings=table.embeddings[: sizes.sum()], class_sizes=sizes)
    evaluation.__dict__.update(validation_table=smaller)  # baselines are tuned with as many shots
    assert [tasks.shots for tasks in evaluation._drawn(3)] == [1, 2, 2]
    assert evaluation._ways(LEO(CONFIG, table.dim, seed=0)) == [3, table.num_classes]
    assert evaluation._ways(MAML(MAMLConfig(), table.dim, 4, seed=0)) == [4]
    assert evaluation.name == "evaluation-test-grid"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of LEO on small tables."""
    folder = tmp_path_factory.mktemp("grid")
    rng = np.random.default_rng(0)
    (folder / "own").mkdir()
    for split in ("train", "val", "test"):
        rows = rng.normal(size=(6, 1, 8)) + 0.7 * rng.normal(size=(6, 12, 8))
        labels = np.repeat([f"{split}{n}" for n in range(6)], 12)
        np.savez(folder / "own" / f"{split}.npz", embeddings=rows.reshape(-1, 8), labels=labels)
    data = DataConfig(data_path=str(folder), dataset_name="own", cache_dir=str(folder / "cache"))
    config = RunConfig(CONFIG, data, EpisodeConfig(num_classes=3, num_tr_examples_per_class=1))
    save_run(folder / RUN, config, {"embedding_dim": 8, "train_classes": 6}, 0)
    return folder


def test_the_command(runs, evaluate_py, capsys):
    files = evaluate_py("--grid", "--num_tasks=12", "--baselines=ridge")
    stem = "evaluation-test-12tasks-grid"
    assert {f"{stem}.json", f"{stem}.npz", f"{stem}-accuracy.png"} <= files.keys()
    written = json.loads(files[f"{stem}.json"].read_text())
    shapes = [(cell["ways"], cell["shots"]) for cell in written["cells"]]
    assert shapes == [(ways, shots) for ways in (3, 6) for shots in ("1", "2", "5", "1-5")]
    output = capsys.readouterr().out
    with np.load(files[f"{stem}.npz"]) as stored:
        for cell in written["cells"]:
            accuracy = stored[f"{cell['ways']}-way {cell['shots']}-shot"]
            assert len(accuracy) == 12 and accuracy.mean() == pytest.approx(cell["accuracy"]["mean"])
            assert f"{100 * cell['accuracy']['mean']:.2f} +- " in output
            best = max(cell["baselines"].values(), key=lambda each: each["mean"])["mean"]
            difference = cell["difference_to_best_baseline"]["mean"]
            assert difference == pytest.approx(cell["accuracy"]["mean"] - best, abs=1e-6)
            assert (cell["unknown_auroc"] is None) == (cell["ways"] == 6 or cell["shots"] == "1-5")
    below = [
        c
        for c in written["cells"]
        if c["difference_to_best_baseline"]["mean"] + c["difference_to_best_baseline"]["half_width"] < 0
    ]
    assert ("below the best baseline at" in output) == bool(below)


@pytest.mark.parametrize("flag", ["--queries=3", "--num_tr_examples_per_class=2", "--compare_to=elsewhere"])
def test_flags_of_one_shape_are_refused(evaluate_py, flag):
    from leo_tf import InputError

    with pytest.raises(InputError, match=rf"Got grid beside {flag.split('=')[0][2:]}, for tasks of one shape"):
        evaluate_py("--grid", flag)
