"""evaluate.py on regression runs: files and refusals; and that such a run is not taken for a classifier."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from saved_runs import save_run

import leo_tf
from leo_tf import InputError
from leo_tf.config import EpisodeConfig, LEOConfig, MAMLConfig, RegressionConfig, RunConfig, TrainingConfig
from leo_tf.export import export
from leo_tf.regression import ambiguous, evaluation, figure
from leo_tf.regression.evaluation import evaluate_posterior
from leo_tf.regression.leo import RegressionLEO
from leo_tf.regression.maml import RegressionMAML
from leo_tf.regression.results import RegressionResult
from leo_tf.regression.tasks import draw_tasks
from leo_tf.runs.registry import problem_of
from leo_tf.runs.run_dir import RunDirectory

RUN, TASKS, SAMPLES = "leo", 24, 6
FLAGS = (f"--num_tasks={TASKS}", f"--samples={SAMPLES}")
CONFIG = RunConfig(
    LEOConfig(inner_unroll_length=1, finetuning_unroll_length=1, num_latents=2, inner_lr_init=0.01, dropout_rate=0.0),
    training=TrainingConfig(jit="off"),
    regression=RegressionConfig(network_units=4, encoder_units=4, relation_units=4, decoder_units=4),
    problem="regression",
)
MAML = dataclasses.replace(CONFIG, algorithm="maml", model=MAMLConfig(1, 0.001, dropout_rate=0.0))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with runs saved at step 7: LEO and MAML on regression, LEO on classification."""
    root = tmp_path_factory.mktemp("runs")
    classes = RunConfig(LEOConfig(1, 1, num_latents=2), episodes=EpisodeConfig(num_classes=3))
    for name, config, seed, record in (
        ("leo", CONFIG, 1, {}),
        ("maml", MAML, 1, {}),
        ("seed5", dataclasses.replace(CONFIG, training=TrainingConfig(seed=5, jit="off")), 5, {}),
        ("classes", classes, 1, {"embedding_dim": 8}),
    ):
        save_run(root / name, config, record or {"tasks": "sinusoids and lines"}, seed)
    return root


@pytest.fixture
def few(monkeypatch):
    """Fewer ambiguous tasks, no figure: what takes time."""
    monkeypatch.setattr(evaluation, "_AMBIGUOUS_TASKS", 10)
    monkeypatch.setattr(evaluation, "find_panels", lambda *_: None)


def test_load_returns_the_regression_model_of_the_run(runs):
    for name, kind in (("leo", RegressionLEO), ("maml", RegressionMAML)):
        model, config = leo_tf.load(runs / name), RunDirectory(runs / name).config()
        built = problem_of(config).build_learner({}, seed=1)
        assert type(model) is kind and model.regression == CONFIG.regression
        for ours, expected in zip(model.meta_variables, built.meta_variables, strict=True):
            np.testing.assert_array_equal(ours, expected)


def images(folder):
    return {
        value.tag
        for file in folder.iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "images"
    }


def test_writes_numbers_results_and_figure(runs, evaluate_py, capsys, monkeypatch):
    monkeypatch.setattr(evaluation, "_AMBIGUOUS_TASKS", 20)
    monkeypatch.setattr(evaluation, "_SPREAD_TASKS", 50)
    monkeypatch.setattr(ambiguous, "_DRAWN_AT_ONCE", 200)
    files = evaluate_py(*FLAGS, "--shots_grid=5,1,5", "--seed=4")
    stem = "evaluation-test-24tasks-1_5shot-6samples-seed4"
    assert sorted(files) == [f"{stem}-functions.png", f"{stem}.json", f"{stem}.npz"]
    tasks = draw_tasks(TASKS, seed=4)
    expected = evaluation.evaluate(leo_tf.load(runs / "leo"), tasks, (1, 5), SAMPLES, jit=False)
    saved = RegressionResult.load(files[f"{stem}.npz"])
    assert saved.shots.tolist() == [1, 5] and saved.num_samples == SAMPLES
    for name in ("task_squared_error", "task_single_error", "task_crps", "task_coverage", "is_sinusoid"):
        np.testing.assert_allclose(getattr(saved, name), getattr(expected, name), rtol=1e-5, err_msg=name)
    assert (saved.tasks_digest, saved.model_fingerprint) == (tasks.digest, expected.model_fingerprint)
    written = json.loads(files[f"{stem}.json"].read_text())
    facts = {"step": 7, "split": "test", "seed": 4, "num_tasks": TASKS, "num_samples": SAMPLES, "algorithm": "LEO"}
    assert {*facts.items(), ("checkpoint_path", str(runs / "leo"))} <= {
        (k, v) for k, v in written.items() if not isinstance(v, dict)
    }
    assert written["versions"]["tensorflow"] == tf.__version__
    assert written["shots"] == saved.summary()["shots"]
    posterior = written["baselines"]["exact posterior"]
    expected = evaluate_posterior(tasks, (1, 5), SAMPLES)
    assert posterior["shots"] == expected.summary()["shots"] and posterior["tasks_digest"] == tasks.digest
    assert list(written["baselines"]) == ["exact posterior"]
    ambiguity = written["ambiguity"]
    assert ambiguity["num_tasks"] == 20 and 0.4 < ambiguity["sinusoid_probability"] < 0.6
    assert 0 <= ambiguity["both_families"]["mean"] <= 1 and ambiguity["both_families_exact"] > 0.5
    spread = written["calibrated_spread"]
    assert (spread["fitted_on"], spread["shots"]) == (50, 1) and spread["factor"] > 0
    assert images(runs / "leo" / "test") == {f"{stem}-functions"}
    output = capsys.readouterr().out
    assert f"LEO, {TASKS} tasks, {SAMPLES} samples per task" in output and "exact posterior, 24 tasks" in output
    assert "spread times" in output
    assert "ambiguous tasks (20; exact posterior" in output and f"{stem}-functions.png" in output


@pytest.mark.long
def test_comparing_with_maml(runs, evaluate_py, few, capsys):
    grid, stem = "--shots_grid=2,10", "evaluation-test-24tasks-2_10shot-6samples"
    maml = evaluate_py(*FLAGS, grid, run="maml")
    written = json.loads(maml[f"{stem}.json"].read_text())
    assert written["num_samples"] == 1 and written["shots"]["2"]["coverage"] == {} and "ambiguity" not in written
    files = evaluate_py(*FLAGS, grid, f"--compare_to={runs / 'maml'},{maml[stem + '.npz']}")
    assert sorted(files) == [f"{stem}-comparisons.json", f"{stem}.json", f"{stem}.npz"]
    found = json.loads(files[f"{stem}-comparisons.json"].read_text())["comparisons"]
    ours, theirs = (
        RegressionResult.load(files[f"{stem}.npz"]),
        RegressionResult.load(maml[f"{stem}.npz"]),
    )
    differences = ours.task_squared_error - theirs.task_squared_error
    assert [each["shots"] for each in found] == [2, 10, 2, 10]
    assert [each["to"] for each in found] == [str(runs / "maml")] * 2 + [str(maml[f"{stem}.npz"])] * 2
    for row, each in zip([0, 1, 0, 1], found, strict=True):
        assert each["difference"]["mean"] == pytest.approx(differences[row].mean(), rel=1e-4)
        assert each["wins"] == np.sum(differences[row] < 0) and each["losses"] == np.sum(differences[row] > 0)
    assert (
        f"10 shot: {runs / 'leo'} minus {runs / 'maml'} (MAML): mse {differences[1].mean():+.3f}"
        in capsys.readouterr().out
    )
    with pytest.raises(InputError, match=r"different tasks: num_tasks 25 != 24, tasks_digest"):
        evaluate_py("--num_tasks=25", "--samples=2", grid, f"--compare_to={maml[stem + '.npz']}")
    with pytest.raises(InputError, match=r"1 shots were not evaluated; expected one of \[2, 10\]"):
        evaluate_py(*FLAGS, "--shots_grid=1", f"--compare_to={maml[stem + '.npz']}")


@pytest.mark.long
def test_gaussian_processes_and_the_validation_split(evaluate_py, few, monkeypatch):
    monkeypatch.setattr(evaluation, "_KERNEL_TASKS", 5)
    few_tasks = ("--num_tasks=10", "--samples=3", "--shots_grid=3")
    files = evaluate_py(*few_tasks, "--split=val", "--baselines=gaussian_process")
    written = json.loads(files["evaluation-val-10tasks-3shot-3samples.json"].read_text())
    names = ["exact posterior", "Gaussian process, shared kernel", "Gaussian process, kernel per task"]
    assert list(written["baselines"]) == names and written["split"] == "val"
    assert all(baseline["tasks_digest"] == written["tasks_digest"] for baseline in written["baselines"].values())


@pytest.mark.long
def test_the_figure_shows_tasks_of_the_evaluated_split(runs, evaluate_py, monkeypatch):
    streams = []
    monkeypatch.setattr(evaluation, "_AMBIGUOUS_TASKS", 2)
    choose = figure.choose_panels
    monkeypatch.setattr(figure, "choose_panels", lambda *arguments: streams.append(arguments) or choose(*arguments))
    evaluate_py("--num_tasks=10", "--samples=2", "--shots_grid=3", "--split=val", "--seed=1")
    assert streams == [(0.3, leo_tf.randomness.VALIDATION)]


@pytest.mark.long
def test_seed_runs_reuse_stored_results(few, runs, evaluate_py, capsys, monkeypatch):
    flags_given = *FLAGS, "--shots_grid=2,5"
    theirs = RegressionResult.load(
        evaluate_py(*flags_given, run="seed5")["evaluation-test-24tasks-2_5shot-6samples.npz"]
    )
    evaluated, evaluate = [], evaluation.evaluate
    monkeypatch.setattr(evaluation, "evaluate", lambda model, *more: evaluated.append(model) or evaluate(model, *more))
    capsys.readouterr()
    files = evaluate_py(*flags_given, f"--seed_runs={runs / 'seed5'}", f"--output={runs / 'leo' / 'seeds.json'}")
    assert len(evaluated) == 1  # the run's own
    ours = RegressionResult.load(files["seeds.npz"])
    means = [result.mse(5).mean for result in (ours, theirs)]
    found = json.loads(files["seeds-seeds.json"].read_text())["over_seeds"][1]
    assert found["shots"] == 5
    assert found["mean"] == pytest.approx(np.mean(means)) and found["num_runs"] == 2
    assert found["standard_deviation"] == pytest.approx(abs(means[0] - means[1]) / np.sqrt(2))
    assert f"5 shot, over training seeds: mse {np.mean(means):.4f}" in capsys.readouterr().out
    evaluate_py("--num_tasks=20", "--samples=6", "--shots_grid=5", f"--seed_runs={runs / 'seed5'}", "--seed=9")
    assert len(evaluated) == 3  # other tasks: both


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--num_classes=3", "--queries=5"], r"is a regression run, to which num_classes, queries does not apply"),
        (["--tasks=x.npz"], "to which tasks does not apply; leave it out"),
        (["--problem=classification"], r"leo is a regression run; problem=classification was given\. Leave it out"),
        (["--split=train"], "Got split=train; expected val or test for a regression run"),
        (["--baselines=ridge"], r"Got baselines=ridge; expected all or gaussian_process for a regression run\."),
        (["--samples=0"], "Got samples=0; expected at least 1"),
        (["--shots_grid=0,5"], r"Got shots_grid=0,5; expected whole numbers from 1 to 20, as 1,5,20\."),
        (["--shots_grid=5,21"], "Got shots_grid=5,21; expected whole numbers from 1 to 20"),
        (["--shots_grid=many"], "Got shots_grid=many; expected whole numbers"),
        (["--num_tasks=1"], "Got 1 tasks; an interval needs at least 2"),
        (["--num_tasks=2"], r"Of 2 tasks \d are sinusoids; expected at least 2 of each family, .* larger num_tasks"),
        (["--output=x.npz"], r"expected a name that ends in \.json"),
    ],
)
def test_user_errors(evaluate_py, arguments, message):
    with pytest.raises(InputError, match=message):
        evaluate_py(*arguments)


def test_impossible_gaussian_processes_are_refused_before_any_work(runs, evaluate_py, monkeypatch):
    monkeypatch.setattr(evaluation, "evaluate", None)
    quiet = dataclasses.replace(CONFIG, regression=dataclasses.replace(CONFIG.regression, noise_stddev=0.0))
    with monkeypatch.context() as patch, pytest.raises(InputError, match="has no noise, and baselines=gaussian_proc"):
        patch.setattr(RunDirectory, "config", lambda self: quiet)
        evaluate_py("--baselines=gaussian_process")
    monkeypatch.setitem(sys.modules, "sklearn.gaussian_process", None)
    with pytest.raises(InputError, match=r"needs scikit-learn.*: pip install scikit-learn\."):
        evaluate_py("--baselines=gaussian_process")


def test_incomparable_runs_are_refused(runs, evaluate_py, few):
    small = ("--num_tasks=10", "--samples=2", "--shots_grid=1")
    with pytest.raises(InputError, match=r"Got compare_to=.*classes, a classification run; expected a regression run"):
        evaluate_py(*small, f"--compare_to={runs / 'classes'}")
    with pytest.raises(InputError, match=r"No run in .*nowhere"):
        evaluate_py(*small, f"--compare_to={runs / 'nowhere'}")
    with pytest.raises(InputError, match=r"classes is a classification run, to which samples does not apply"):
        evaluate_py("--samples=5", run="classes")
    with pytest.raises(InputError, match=r"classes is a classification run; problem=regression was given"):
        evaluate_py("--problem=regression", run="classes")


@pytest.mark.parametrize("name,algorithm", [("leo", "LEO"), ("maml", "MAML")])
def test_a_regression_run_is_not_taken_for_a_classifier(runs, table, tmp_path, name, algorithm):
    message = rf"Got a model of {algorithm}.*cannot be exported; expected LEO or ProtoLEO"
    for model in (runs / name, leo_tf.load(runs / name)):
        with pytest.raises(InputError, match=message):
            export(model, tmp_path / "served")
    assert not (tmp_path / "served").exists()
    with pytest.raises(
        InputError, match=rf"Got a {algorithm} for regression, which classifies nothing; .*evaluate\.py"
    ):
        leo_tf.evaluate(leo_tf.load(runs / name), table, ways=3, num_tasks=2)
    for model in (runs / name, leo_tf.load(runs / name)):
        with pytest.raises(InputError, match=message):
            leo_tf.FewShotClassifier(model).fit(np.eye(8), np.arange(8) % 2)


def test_the_fingerprint_depends_on_the_regression_settings():
    from leo_tf.evaluation.fingerprint import fingerprint

    other = dataclasses.replace(CONFIG, regression=dataclasses.replace(CONFIG.regression, weight_spread=0.5))
    prints = [fingerprint(problem_of(config).build_learner({}, seed=1)) for config in (CONFIG, CONFIG, other)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.long
def test_too_little_noise_for_ambiguity_leaves_it_out(evaluate_py, monkeypatch, caplog):
    """As with --noise_stddev=0.001: the rest of the evaluation is written all the same."""
    monkeypatch.setattr(evaluation, "_AMBIGUOUS_TASKS", 500)
    monkeypatch.setattr(ambiguous, "_MOST_DRAWN", 1)
    monkeypatch.setattr(figure, "_AMBIGUOUS_CANDIDATES", 500)
    files, stem = evaluate_py(*FLAGS, "--shots_grid=3", "--seed=5"), "evaluation-test-24tasks-3shot-6samples-seed5"
    assert sorted(files) == [f"{stem}.json", f"{stem}.npz"]
    assert "ambiguity" not in json.loads(files[f"{stem}.json"].read_text())
    assert "Ambiguous tasks are left out: Among 1 tasks" in caplog.text and "No figure of sampled" in caplog.text
