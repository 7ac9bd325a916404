"""python -m leo_tf.analysis on small runs: one page, numbers that repeat, and what it refuses."""

import json

import numpy as np
import pytest
from absl import flags
from saved_runs import save_run

from leo_tf import InputError
from leo_tf.analysis import __main__ as command
from leo_tf.config import DataConfig, EpisodeConfig, LEOConfig, MAMLConfig, RunConfig

TASKS = 12


def learner(steps=1, **settings):
    return LEOConfig(inner_unroll_length=steps, finetuning_unroll_length=1, num_latents=4, **settings)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with runs of a LEO, a generator, Meta-SGD and a regression, and the data of the first three."""
    from PIL import Image

    root = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    (root / "data" / "own").mkdir(parents=True)
    for split in ("train", "val", "test"):
        rows = rng.normal(size=(6, 1, 8)) + 0.7 * rng.normal(size=(6, 9, 8))
        labels = np.repeat([f"{split}{n}" for n in range(6)], 9)
        paths = np.array([f"images/{label}-{number}.png" for number, label in enumerate(labels)])
        order = rng.permutation(len(labels))  # the table sorts by class
        np.savez(
            root / "data" / "own" / f"{split}.npz",
            embeddings=rows.reshape(-1, 8)[order],
            labels=labels[order],
            paths=paths[order],
        )
        (root / "images").mkdir(exist_ok=True)
        for path in paths:
            Image.new("L", (8, 8), int(rng.integers(256))).save(root / path)
    data = DataConfig(data_path=str(root / "data"), dataset_name="own", cache_dir=str(root / "cache"))
    episodes = EpisodeConfig(num_classes=3)
    record = {"embedding_dim": 8, "train_digest": "train digest"}
    save_run(root / "leo", RunConfig(learner(), data, episodes), record)
    save_run(root / "generator", RunConfig(learner(steps=0), data, episodes), record)
    save_run(root / "metasgd", RunConfig(MAMLConfig(maml_steps=2), data, episodes, algorithm="metasgd"), record)
    points = RunConfig(
        LEOConfig(1, 0, num_latents=3, dropout_rate=0.0, inner_lr_init=0.01),
        episodes=EpisodeConfig(num_tr_examples_per_class=3),
        problem="regression",
    )
    save_run(root / "regression", points, {"tasks": "sinusoids and lines"})
    return root


@pytest.fixture
def analyse(runs, monkeypatch):
    """A function that runs the command and returns the folder of the report."""
    from leo_tf.regression import subject

    monkeypatch.setattr(subject, "_WHOLE_HESSIANS", 1)

    def run(*arguments, of="leo", output=None, tasks=TASKS):
        values = flags.FlagValues()
        command.define_flags(values)
        folder = runs / (output or f"{of}-report")
        given = [f"--checkpoint_path={runs / of}", f"--num_tasks={tasks}", f"--output={folder}", *map(str, arguments)]
        values(["analysis", *given])
        assert command.run(values) == 0
        return folder

    return run


def test_everything_of_a_leo(runs, analyse):
    folder = analyse(
        f"--compare_to={runs / 'generator'},{runs / 'metasgd'}",
        "--num_tr_examples_per_class=2",
        f"--images={runs}",
        "--highlight=val3",
    )
    report = json.loads((folder / "report.json").read_text())
    found = report["analyses"]
    expected = ["latent_space", "curvature", "adaptation", "leave_one_out", "failures", "calibration", "grid"]
    assert list(found) == expected and report["model"] == "LEO" and report["step"] == 7
    assert list(found["curvature"]["models"]) == ["LEO", "generator + fine-tuning", "Meta-SGD"]
    assert len(found["curvature"]["claims"]) == 3
    assert found["latent_space"]["split"] == "val" and found["curvature"]["split"] == "test"
    assert [step["latent_steps"] for step in found["adaptation"]["steps"]] == [0, 1, 1]
    page = (folder / "report.html").read_text()
    pictures = {path.stem for path in folder.glob("*.png")}
    assert {"tsne", "pca", "curvature", "step_lengths", "worst_pairs", "worst_examples", "reliability"} <= pictures
    assert page.count("data:image/png;base64,") == len(pictures)
    assert 'src="tsne.png"' not in page
    for claim in found["curvature"]["claims"]:
        assert claim["claim"] in page and claim["finding"] in page
    worst = found["failures"]["examples"][0]
    assert worst["image"].startswith(f"images/{worst['class']}-")
    assert (folder / "projector_config.pbtxt").exists() and len(list(folder.glob("events.*.analysis"))) == 1


def test_equal_seeds_give_equal_numbers(analyse):
    def numbers(*arguments):
        what = "--what=latent_space,curvature,adaptation,failures"
        report = json.loads((analyse(what, *arguments, output="again") / "report.json").read_text())
        return report["analyses"]

    first = numbers()
    assert first == numbers()
    assert first != numbers("--seed=1")


def test_of_metasgd(analyse):
    found = json.loads((analyse(of="metasgd") / "report.json").read_text())["analyses"]
    assert list(found) == ["curvature", "adaptation", "failures", "calibration"]
    assert found["curvature"]["claims"] == []


def test_of_regression(analyse):
    folder = analyse(of="regression")
    found = json.loads((folder / "report.json").read_text())["analyses"]
    assert list(found) == ["latent_space", "interpolation", "curvature", "adaptation", "leave_one_out", "failures"]
    eigenvalues = found["curvature"]["models"]["LEO"]["absolute_eigenvalues"]
    assert eigenvalues["latents_start"]["count"] <= TASKS * 3
    assert set(found["latent_space"]["separation"]) == {"family"}
    assert "two lines" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    "arguments, of, message",
    [
        (["--what=everything"], "leo", "Got what=everything; expected some of latent_space, curvature, adaptation, "),
        (["--what=leave_one_out"], "leo", r"leave_one_out \(leave_one_out needs 2 shots or more\); expected some of "),
        (["--what=latent_space"], "metasgd", r"needs codes that an encoder made\); expected some of curvature, adap"),
        (["--what=grid"], "regression", "this regression run of LEO"),
        (["--num_tasks=9"], "leo", "Got num_tasks=9; expected at least 10 to analyse"),
        (["--compare_to={runs}/regression"], "leo", "a regression run; expected a classification run"),
        (["--compare_to={runs}/nowhere"], "leo", "No run in .*nowhere"),
        ([], "nowhere", "No run in .*nowhere"),
        (["--num_classes=7"], "leo", "7-way tasks need 7 classes"),
        (["--highlight=zebra", "--what=latent_space"], "leo", "Got highlight=zebra; expected one of val0, val1"),
        (["--images={runs}/data", "--what=failures"], "leo", "where there is no images/test0-"),
        (["--split=train"], "regression", "expected val or test for a regression run"),
    ],
)
def test_refuses(runs, analyse, arguments, of, message):
    with pytest.raises(InputError, match=message):
        analyse(*(argument.format(runs=runs) for argument in arguments), of=of)


def test_a_run_without_a_checkpoint_is_refused(runs, analyse):
    from leo_tf.runs.folder import RunFolder

    RunFolder(runs / "young").claim(RunFolder(runs / "leo").config(), {})
    with pytest.raises(InputError, match="has no best checkpoint yet"):
        analyse(of="young")
    with pytest.raises(InputError, match="has no best checkpoint yet"):
        analyse(f"--compare_to={runs / 'young'}")


def test_runs_of_one_name_are_told_apart(runs, analyse):
    folder = analyse(f"--compare_to={runs / 'leo'}", "--what=curvature", output="twice")
    assert "LEO (leo)" in json.loads((folder / "report.json").read_text())["analyses"]["curvature"]["models"]
