"""python -m leo_tf.analysis on small runs: one page, repeatable numbers, and errors."""

import json

import numpy as np
import pytest
from absl import flags
from saved_runs import save_run

from leo_tf import InputError
from leo_tf.analysis import __main__ as command
from leo_tf.config import DataConfig, EpisodeConfig, LEOConfig, MAMLConfig, ProtoLEOConfig, RunConfig

TASKS = 12


def learner(steps=1, finetuning=1, **settings):
    return LEOConfig(inner_unroll_length=steps, finetuning_unroll_length=finetuning, num_latents=4, **settings)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A directory with runs of LEO, a generator, ProtoLEO, Meta-SGD and regression, and their data and images."""
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
    save_run(root / "generator_only", RunConfig(learner(steps=0, finetuning=0), data, episodes), record)
    added = ProtoLEOConfig(1.0, 1.0, fit_scale=1.0, latent_codes=True)
    zero = RunConfig(learner(), data, episodes, proto_leo=added, algorithm="proto_leo")
    save_run(root / "proto_leo", zero, record)
    two_way = RunConfig(MAMLConfig(maml_steps=2), data, EpisodeConfig(num_classes=2), algorithm="metasgd")
    save_run(root / "two_way", two_way, record)
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
    from leo_tf.regression import analysis_target

    monkeypatch.setattr(analysis_target, "_WHOLE_HESSIANS", 1)

    def run(*arguments, of="leo", output=None, tasks=TASKS):
        values = flags.FlagValues()
        command.define_flags(values)
        folder = runs / (output or f"{of}-report")
        given = [f"--checkpoint_path={runs / of}", f"--num_tasks={tasks}", f"--output={folder}", *map(str, arguments)]
        values(["analysis", *given])
        assert command.run(values) == 0
        return folder

    return run


def test_report_with_all_analyses_of_leo(runs, analyse):
    folder = analyse(
        f"--compare_to={runs / 'generator'},{runs / 'metasgd'}",
        "--num_tr_examples_per_class=2",
        f"--images={runs}",
        "--highlight=val3",
    )
    report = json.loads((folder / "report.json").read_text())
    found = report["analyses"]
    expected = ["latent_space", "curvature", "adaptation", "leave_one_out", "failures", "calibration"]
    assert list(found) == expected and report["model"] == "LEO" and report["step"] == 7
    assert list(found["curvature"]["models"]) == ["LEO", "generator + fine-tuning", "Meta-SGD"]
    assert len(found["curvature"]["claims"]) == 3
    assert found["latent_space"]["split"] == "val" and found["curvature"]["split"] == "test"
    assert [step["latent_steps"] for step in found["adaptation"]["steps"]] == [0, 1, 1]
    page = (folder / "report.html").read_text()
    figures = {path.stem for path in folder.glob("*.png")}
    assert {"tsne", "pca", "curvature", "step_lengths", "worst_pairs", "worst_examples", "reliability"} <= figures
    assert page.count("data:image/png;base64,") == len(figures)
    assert 'src="tsne.png"' not in page
    for claim in found["curvature"]["claims"]:
        assert claim["claim"] in page and claim["finding"] in page
    worst = found["failures"]["examples"][0]
    assert worst["image"].startswith(f"images/{worst['class']}-")
    assert (folder / "projector_config.pbtxt").exists() and len(list(folder.glob("events.*.analysis"))) == 1


@pytest.mark.long
@pytest.mark.parametrize("of", ["leo", "regression"])
def test_equal_seeds_give_equal_numbers_in_every_analysis(analyse, of):

    def numbers(*arguments):
        shots = ["--num_tr_examples_per_class=2"] if of == "leo" else []
        folder = analyse(*shots, *arguments, of=of, output=f"{of}-again")
        return json.loads((folder / "report.json").read_text())["analyses"]

    first = numbers()
    assert len(first) == (7 if of == "leo" else 6)
    assert first == numbers()
    others = numbers(f"--seed={2**40}")
    assert all(others[name] != found for name, found in first.items())


@pytest.mark.long
def test_report_of_meta_sgd(analyse):
    folder = analyse("--num_tr_examples_per_class=2", of="metasgd")
    found = json.loads((folder / "report.json").read_text())["analyses"]
    assert list(found) == ["curvature", "adaptation", "leave_one_out", "failures", "calibration"]
    assert found["curvature"]["claims"] == []
    assert "3-way 2-shot tasks of own" in (folder / "report.md").read_text()


@pytest.mark.long
@pytest.mark.parametrize("of", ["generator_only", "proto_leo"])
def test_models_without_movement(analyse, of):
    """No steps, or a decoder of zeros, which has no gradient: the report has no NaN and says what is missing."""
    folder = analyse(of=of)
    text = (folder / "report.json").read_text()
    json.loads(text, parse_constant=pytest.fail)
    page = (folder / "report.md").read_text()
    assert "nan" not in page.lower().replace("finan", "")
    assert ("its latent space is flat" in page) == (of == "proto_leo")
    assert "compare with a run of Meta-SGD or MAML" in page


def test_a_report_replaces_the_figures_of_the_previous_one(analyse):
    folder = analyse("--analyses=adaptation,calibration", output="twice-over")
    (folder / "mine.png").write_bytes(b"")
    analyse("--analyses=calibration", output="twice-over")
    assert {path.name for path in folder.glob("*.png")} == {"mine.png", "reliability.png"}


def test_class_names_with_markup(runs, analyse):
    """Names that Markdown, HTML or matplotlib would interpret."""
    names = ["a|b", "<b>bold</b>", "*star*", "US$ $x_{", "_under", "new\nline"]
    (runs / "data" / "odd").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for split, prefix in (("val", "val "), ("test", "")):
        labels = np.repeat([prefix + name for name in names], 9)
        rows = {"embeddings": rng.normal(size=(54, 8)), "labels": labels}
        np.savez(runs / "data" / "odd" / f"{split}.npz", **rows)
    arguments = ["--analyses=latent_space,failures", "--highlight=val US$ $x_{"]
    page = (analyse(*arguments, "--dataset_name=odd", output="odd", tasks=30) / "report.html").read_text()
    for shown in ("a&#124;b", "&lt;b&gt;bold&lt;/b&gt;", "*star*", "US$ $x_{", "_under", "new line"):
        assert f"<td>{shown}</td>" in page


def test_without_validation_data_other_analyses_work(runs, analyse):
    (runs / "data" / "tested").mkdir(exist_ok=True)
    test = runs / "data" / "tested" / "test.npz"
    test.write_bytes((runs / "data" / "own" / "test.npz").read_bytes())
    with pytest.raises(InputError, match="Without split, latent_space takes the val classes; give split=test"):
        analyse("--dataset_name=tested")
    analyse("--dataset_name=tested", "--analyses=adaptation", output="tested")
    analyse("--dataset_name=tested", "--analyses=latent_space", "--split=test", output="tested")


def test_an_unreadable_image_is_refused(runs, analyse):
    images = runs / "broken" / "images"
    images.mkdir(parents=True, exist_ok=True)
    for path in (runs / "images").glob("test*.png"):
        (images / path.name).write_bytes(b"no image")
    with pytest.raises(InputError, match=r"Cannot read the image .*test.*png .*; restore the file"):
        analyse(f"--images={runs / 'broken'}", "--analyses=failures")


@pytest.mark.long
def test_report_of_regression(analyse):
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
        (
            ["--analyses=everything"],
            "leo",
            "Got analyses=everything; expected some of latent_space, curvature, adaptation, ",
        ),
        (
            ["--analyses=leave_one_out"],
            "leo",
            r"leave_one_out \(leave_one_out needs 2 shots or more\); expected some of ",
        ),
        (["--analyses=latent_space"], "metasgd", r"needs an encoder\); expected some of curvature, adap"),
        (["--analyses=calibration"], "regression", "this regression run of LEO"),
        (["--compare_to={runs}/two_way"], "leo", "The Meta-SGD of compare_to does not take .* those of 2 classes"),
        (
            ["--compare_to={runs}/metasgd", "--analyses=failures"],
            "leo",
            "Got compare_to, which only the analysis curvature uses, ",
        ),
        (
            ["--highlight=val0"],
            "metasgd",
            "Got highlight, which only the analysis latent_space uses, while the analyses are curv",
        ),
        (
            ["--images={runs}", "--analyses=curvature"],
            "leo",
            "Got images, which only the analysis failures uses.*expected analyses=curvature,fa",
        ),
        (["--images={runs}"], "regression", "is a regression run, to which images does not apply"),
        (["--num_classes=3"], "regression", "is a regression run, to which num_classes does not apply"),
        (["--num_tasks=9"], "leo", "num_tasks=9 was given; expected at least 10"),
        (["--compare_to={runs}/regression"], "leo", "is a regression run; expected a classification run"),
        (["--compare_to={runs}/nowhere"], "leo", "No run in .*nowhere"),
        ([], "nowhere", "No run in .*nowhere"),
        (["--num_classes=7"], "leo", "7-way tasks need 7 classes"),
        (["--highlight=zebra", "--analyses=latent_space"], "leo", "Got highlight=zebra; expected one of val0, val1"),
        (["--images={runs}/data", "--analyses=failures"], "leo", "where there is no images/test0-"),
        (["--split=train"], "regression", "expected val or test for a regression run"),
    ],
)
def test_errors(runs, analyse, arguments, of, message):
    with pytest.raises(InputError, match=message):
        analyse(*(argument.format(runs=runs) for argument in arguments), of=of)


def test_a_run_without_a_checkpoint_is_refused(runs, analyse):
    from leo_tf.runs.run_dir import RunDirectory

    RunDirectory(runs / "young").claim(RunDirectory(runs / "leo").config(), {})
    with pytest.raises(InputError, match="has no best checkpoint yet"):
        analyse(of="young")
    with pytest.raises(InputError, match="has no best checkpoint yet"):
        analyse(f"--compare_to={runs / 'young'}")


def test_runs_of_the_same_model_are_named_after_their_folders(runs, analyse):
    folder = analyse(f"--compare_to={runs / 'leo'}", "--analyses=curvature", output="twice")
    assert "LEO (leo)" in json.loads((folder / "report.json").read_text())["analyses"]["curvature"]["models"]
