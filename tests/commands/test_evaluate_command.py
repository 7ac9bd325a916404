"""evaluate.py on small runs: files and their names, comparisons, and refusals."""

import dataclasses
import json
import re

import numpy as np
import pytest
import tensorflow as tf
from saved_runs import save_run

from leo_tf import InputError, evaluate
from leo_tf.classification.baselines import model_selection
from leo_tf.classification.evaluation import load_table
from leo_tf.classification.results import EvaluationResult
from leo_tf.config import DataConfig, EpisodeConfig, LEOConfig, RunConfig, TrainingConfig
from leo_tf.problem import EvaluationRequest
from leo_tf.runs.load import load
from leo_tf.runs.registry import problem_of
from leo_tf.runs.results import result_of
from leo_tf.runs.run_dir import RunDirectory

RUN, TASKS = "a", 12


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with three runs saved at step 7, of seeds 0 and 1 and of another penalty, and their data."""
    root = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    (root / "data" / "own").mkdir(parents=True)
    for split in ("train", "val", "test"):
        rows = rng.normal(size=(6, 1, 8)) + 0.7 * rng.normal(size=(6, 9, 8))
        labels = np.repeat([f"{split}{n}" for n in range(6)], 9)
        paths = [f"{label}/{number}.jpg" for number, label in enumerate(labels)]
        np.savez(root / "data" / "own" / f"{split}.npz", embeddings=rows.reshape(-1, 8), labels=labels, paths=paths)
    config = RunConfig(
        LEOConfig(inner_unroll_length=1, finetuning_unroll_length=1, num_latents=4),
        DataConfig(data_path=str(root / "data"), dataset_name="own", cache_dir=str(root / "cache")),
        EpisodeConfig(num_classes=3),
    )
    record = {"embedding_dim": 8, "train_digest": "train digest", "validation_digest": "validation digest"}
    for name, seed, kl_weight in (("a", 0, 0.1), ("b", 1, 0.1), ("other", 2, 0.5)):
        model = dataclasses.replace(config.model, kl_weight=kl_weight)
        save_run(
            root / name, dataclasses.replace(config, model=model, training=TrainingConfig(seed=seed)), record, seed
        )
    return root


def of(runs, name="a"):
    return load(runs / name), load_table(RunDirectory(runs / name).config().data, "test")


def test_writes_a_summary_and_per_task_results(runs, evaluate_py, capsys):
    files = evaluate_py(f"--num_tasks={TASKS}")
    assert sorted(files) == ["evaluation-test-12tasks.json", "evaluation-test-12tasks.npz"]
    expected = evaluate(*of(runs), ways=3, num_tasks=TASKS)
    saved = EvaluationResult.load(files["evaluation-test-12tasks.npz"])
    np.testing.assert_array_equal(saved.task_accuracy, expected.task_accuracy)
    np.testing.assert_array_equal(saved.task_loss, expected.task_loss)
    assert (saved.tasks_digest, saved.model_fingerprint) == (expected.tasks_digest, expected.model_fingerprint)
    written = json.loads(files["evaluation-test-12tasks.json"].read_text())
    facts = {"step": 7, "dataset_name": "own", "split": "test", "train_on_val": False, "ways": 3, "seed": 0}
    assert facts.items() <= written.items()
    assert written["versions"]["tensorflow"] == tf.__version__
    assert written["accuracy"]["mean"] == expected.accuracy.mean
    assert f"own test: LEO {100 * expected.accuracy.mean:.2f} +- " in capsys.readouterr().out


@pytest.fixture
def trained_on_its_data(runs):
    """A run `true` with the digest of the training table that is there."""
    if not (runs / "true").exists():
        config = RunDirectory(runs / "a").config()
        record = {"embedding_dim": 8, "train_classes": 6, "train_digest": load_table(config.data, "train").digest}
        save_run(runs / "true", config, record, 0)


def test_baselines(runs, evaluate_py, trained_on_its_data, capsys, monkeypatch):
    monkeypatch.setattr(model_selection, "VALIDATION_TASKS", 10)
    files = evaluate_py(f"--num_tasks={TASKS}", "--baselines=all", run="true")
    written = json.loads(files["evaluation-test-12tasks.json"].read_text())
    means = ["nearest class mean", "nearest class mean, cosine"]
    fitted = ["logistic regression", "logistic regression, whitened", "ridge", "ridge, whitened", "LDA"]
    predictive = ["predictive classifier", "predictive classifier + logistic regression"]
    fitted += [f"{name}, PLDA" for name in [*means, "logistic regression", *predictive]]
    names = [*means, *(f"{name}, whitened" for name in means), *fitted]
    assert list(written["baselines"]) == list(written["baseline_choices"]) == names
    output = capsys.readouterr().out
    for name in names:
        assert re.search(
            rf"^  {re.escape(name)} +{100 * written['baselines'][name]['mean']:.2f} ", output, re.MULTILINE
        ), name
    saved = EvaluationResult.load(files["evaluation-test-12tasks.npz"])
    assert saved.baseline_names.tolist() == names and saved.task_baselines.shape == (14, TASKS)
    best = max(names, key=lambda name: written["baselines"][name]["mean"])
    assert written["difference_to_best_baseline"].keys() == {"name", "mean", "half_width"}
    assert written["difference_to_best_baseline"]["name"] == best
    assert f"LEO minus {best}, the best baseline: " in output
    chosen = written["baseline_choices"]
    hyperparameters = [("logistic regression, whitened", "C"), ("ridge", "penalty"), ("LDA", "shrinkage")]
    for name, hyperparameter in hyperparameters:
        found = chosen[name]
        assert found["validation_accuracy"][f"{found[hyperparameter]:g}"] == max(found["validation_accuracy"].values())
        assert f"{name} {hyperparameter}={found[hyperparameter]:g}" in output
    assert f" points below {best}, the best baseline on the same tasks. " in output  # of an untrained model


def test_baselines_fitted_to_base_classes_are_left_out_for_other_data(runs, evaluate_py, caplog, monkeypatch):
    monkeypatch.setattr(model_selection, "VALIDATION_TASKS", 10)
    files = evaluate_py(f"--num_tasks={TASKS}", "--baselines=lda,ridge", "--seed=5")
    written = json.loads(files["evaluation-test-12tasks-seed5.json"].read_text())
    assert list(written["baselines"]) == ["nearest class mean", "nearest class mean, cosine", "ridge"]
    said = [record.message for record in caplog.records if "are left out" in record.message]
    assert len(said) == 1 and "the run was trained on train digest..." in said[0]


def test_a_task_file_reproduces_the_evaluation(runs, evaluate_py, tmp_path):
    tasks = tmp_path / "fixed.npz"
    files = evaluate_py(f"--num_tasks={TASKS}", "--seed=3", "--queries=5", f"--write_tasks={tasks}")
    assert sorted(files) == [
        "evaluation-test-5queries-12tasks-seed3.json",
        "evaluation-test-5queries-12tasks-seed3.npz",
    ]
    again = evaluate_py(f"--tasks={tasks}")
    assert sorted(again) == ["evaluation-test-tasks-fixed.json", "evaluation-test-tasks-fixed.npz"]
    first, second = (
        EvaluationResult.load(runs / "a" / next(n for n in f if n.endswith("npz"))) for f in (files, again)
    )
    np.testing.assert_array_equal(first.task_accuracy, second.task_accuracy)
    assert first.tasks_digest == second.tasks_digest and second.queries == 5
    with pytest.raises(InputError, match=r"fixes the tasks; leave out num_classes, seed\."):
        evaluate_py(f"--tasks={tasks}", "--num_classes=4", "--seed=3")
    with pytest.raises(InputError, match=r"train\.npz has .* Give the data, split and crop"):
        evaluate_py(f"--tasks={tasks}", "--split=train")


def test_a_task_file_names_the_images(runs, evaluate_py, tmp_path):
    """Those of the support by its rows; of the queries, which are all others of the class, by the classes of rows."""
    evaluate_py("--num_tasks=2", "--seed=9", f"--write_tasks={tmp_path / 'tasks.npz'}")
    with np.load(tmp_path / "tasks.npz") as tasks:
        names, ids, support = tasks["row_names"], tasks["class_ids"], tasks["support_rows"]
        assert tasks["query_rows"].shape == (2, 3, 0) and names[:2].tolist() == ["test0/0.jpg", "test0/1.jpg"]
        for task, way in np.ndindex(2, 3):
            queries = np.setdiff1d(np.flatnonzero(tasks["row_classes"] == ids[task, way]), support[task, way])
            expected = {f"test{ids[task, way]}/{9 * ids[task, way] + n}.jpg" for n in range(9)}
            assert {*names[queries], *names[support[task, way]]} == expected and len(queries) == 8
    evaluate_py(f"--tasks={tmp_path / 'tasks.npz'}")


def test_comparing_runs_and_seeds(runs, evaluate_py, capsys):
    shape = (f"--num_tasks={TASKS}", "--num_classes=4", "--num_tr_examples_per_class=2")
    files = evaluate_py(*shape, f"--compare_to={runs / 'b'},{runs / 'a'}", f"--seed_runs={runs / 'b'}")
    stem = "evaluation-test-4way-2shot-12tasks"
    assert sorted(files) == [f"{stem}-comparisons.json", f"{stem}-seeds.json", f"{stem}.json", f"{stem}.npz"]
    first, second = (evaluate(*of(runs, name), 4, 2, num_tasks=TASKS) for name in "ab")
    to_b, to_itself = json.loads(files[f"{stem}-comparisons.json"].read_text())["comparisons"]
    difference = (first.task_accuracy - second.task_accuracy).mean()
    assert to_b["to"] == str(runs / "b") and to_b["difference"]["mean"] == pytest.approx(difference, abs=1e-6)
    assert to_itself["difference"] == {"mean": 0.0, "half_width": 0.0} and to_itself["ties"] == TASKS
    seeds = json.loads(files[f"{stem}-seeds.json"].read_text())
    assert seeds["over_seeds"][0]["standard_deviation"] == pytest.approx(abs(difference) / np.sqrt(2), abs=1e-6)
    output = capsys.readouterr().out
    assert "paired over the same tasks" in output and "standard deviation over 2 training seeds" in output
    evaluate_py(*shape, f"--compare_to={files[f'{stem}.npz']}", run="b")
    turned = json.loads((runs / "b" / f"{stem}-comparisons.json").read_text())["comparisons"][0]
    assert turned["difference"]["mean"] == -to_b["difference"]["mean"]
    with pytest.raises(InputError, match="different tasks: num_tasks 13 != 12"):
        evaluate_py("--num_tasks=13", *shape[1:], f"--compare_to={files[f'{stem}.npz']}", run="b")


def test_stored_results_are_used_only_for_the_same_tasks_and_model(runs):
    config = RunDirectory(runs / "other").config()
    evaluation = problem_of(config).evaluation_type(config, EvaluationRequest(num_tasks=TASKS))
    result = result_of(runs / "other", evaluation)
    assert result.task_accuracy.mean() < 1
    perfect = dataclasses.replace(result, task_accuracy=np.ones(TASKS, np.float32))
    for saved, serves in (
        (perfect, True),
        (dataclasses.replace(perfect, model_fingerprint="another"), False),
        (dataclasses.replace(perfect, tasks_digest="others"), False),
    ):
        saved.save(runs / "other" / "evaluation-test.npz")
        (runs / "other" / "evaluation-damaged.npz").write_bytes(b"PK")
        assert (result_of(runs / "other", evaluation).task_accuracy.mean() == 1) == serves


def test_seed_runs_must_be_repetitions(runs, evaluate_py):
    with pytest.raises(InputError, match=r"other and .*a differ in more than the seed: model.kl_weight: 0.1 != 0.5\."):
        evaluate_py(f"--seed_runs={runs / 'b'},{runs / 'other'}")
    with pytest.raises(InputError, match=r"have the same training seed, 0;"):
        evaluate_py(f"--seed_runs={runs / 'a'}")


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--baselines=ridge,svm"], "Got baselines=svm; expected all, or some of logistic_regression, ridge, lda"),
        (["--samples=5"], "is a classification run, to which samples does not apply; leave it out"),
        (["--num_tasks=1"], "Got 1 tasks; an interval needs at least 2"),
        (["--output=results.npz"], r"expected a name that ends in \.json"),
        (["--tasks=none.npz"], r"Cannot read none.npz"),
        (["--compare_to=nowhere", "--num_tasks=2"], "No run in nowhere"),
        (["--compare_to=nothing.npz", "--num_tasks=2"], r"Cannot read nothing\.npz"),
        (["--output=."], r"Cannot write \. \(it is a folder\)"),
        (["--output=/dev/null/x.json"], r"Cannot write /dev/null/x\.json \(/dev/null is not a folder\)"),
        (["--seed_runs=nowhere"], "No run in nowhere"),
        (["--num_classes=7", "--num_tasks=2"], "7-way tasks need 7 classes"),
    ],
)
def test_user_errors(evaluate_py, arguments, message):
    with pytest.raises(InputError, match=message):
        evaluate_py(*arguments)


@pytest.mark.parametrize(
    "flags_given,overrides,name",
    [
        ({}, {}, "evaluation-test"),
        ({"split": "val"}, {}, "evaluation-val"),
        ({"num_tasks": 10_000}, {}, "evaluation-test"),
        ({"num_tasks": 500}, {}, "evaluation-test-500tasks"),
        ({}, {"num_classes": 20, "num_tr_examples_per_class": 3}, "evaluation-test-20way-3shot"),
        ({"queries": 15, "seed": 2}, {"num_classes": 20}, "evaluation-test-20way-1shot-15queries-seed2"),
        ({}, {"dataset_name": "glyphs"}, "evaluation-test-glyphs"),
        ({}, {"embedding_crop": "multiview"}, "evaluation-test-multiview"),
        ({"tasks_file": "/x/fixed.npz"}, {}, "evaluation-test-tasks-fixed"),
    ],
)
def test_file_names_contain_every_setting_that_is_not_a_default(flags_given, overrides, name):
    of_run = RunConfig()
    data = {k: v for k, v in overrides.items() if not k.startswith("num_")}
    episodes = {k: v for k, v in overrides.items() if k.startswith("num_")}
    config = dataclasses.replace(of_run, data=DataConfig(**data), episodes=EpisodeConfig(**episodes))
    assert problem_of(config).evaluation_type(config, EvaluationRequest(**flags_given), of_run).name == name


def test_the_step_in_every_file_is_that_of_the_evaluated_model(evaluate_py, runs, monkeypatch):
    """A run that is still training may have a better checkpoint when scoring ends."""
    steps = iter([7, 9, 11])
    monkeypatch.setattr(RunDirectory, "best_step", lambda folder: next(steps))
    written = evaluate_py(f"--num_tasks={TASKS}", "--calibrate", "--seed=29")
    for path in written.values():
        if path.suffix == ".json":
            assert json.loads(path.read_text())["step"] == 7, path.name
    assert "calibration.json" in written or (runs / "a" / "calibration.json").exists()
