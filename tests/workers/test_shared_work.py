"""Validation, evaluation and extraction shared by two workers: the numbers of one process, and one end for all."""

import json
import shutil
import signal
import time

import numpy as np
import pytest
from drawn_images import write_classes
from harness import rows_of
from saved_runs import save_run

from leo_tf.classification.results import EvaluationResult
from leo_tf.config import DataConfig, EpisodeConfig, LEOConfig, RegressionConfig, RunConfig
from leo_tf.data.card import FILES
from leo_tf.features.settings import NetworkConfig
from leo_tf.features.wrn import wide_resnet
from leo_tf.regression.results import RegressionResult
from leo_tf.runs.problems import problem_of

SMALL = {"inner_unroll_length": 1, "finetuning_unroll_length": 1, "num_latents": 2}
NETWORK = {"network_units": 4, "encoder_units": 4, "relation_units": 4, "decoder_units": 4}


def flags_of(settings):
    return [f"--{name}={value}" for name, value in settings.items()]


REGRESSION = (
    *flags_of({**SMALL, **NETWORK, "problem": "regression", "dropout_rate": 0, "inner_lr_init": 0.01, "jit": "off"}),
    *("--metatrain_batch_size=2", "--num_steps_limit=2", "--checkpoint_steps=1", "--log_steps=1", "--outer_lr=1e-5"),
)


def validations_of(path):
    """Return what a run's validations found, [{column: float}]."""
    rows = [{name: float(row[name]) for name in row if "validation_" in name and row[name]} for row in rows_of(path)]
    return [row for row in rows if row]


def require_near(found, expected):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-6)


def test_validation_of_regression(runs, workers, tmp_path):
    """Nine tasks, four at once: more batches than one, of which the workers have unequal shares."""

    def train(path, *more, **how):
        flags = (f"--checkpoint_path={path}", *REGRESSION, "--metavalid_tasks=9", "--metavalid_batch_size=4")
        return runs.start("train.py", *flags, *more, **how)

    alone = train(tmp_path / "one")
    workers.finish(tmp_path / "two", train=train)
    assert alone.wait() == 0, alone.said
    expected = validations_of(tmp_path / "one")
    assert len(expected) == 2 and "validation_mse" in expected[0] and "validation_coverage_90" in expected[0]
    require_near(validations_of(tmp_path / "two"), expected)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """A run on the glyphs, untrained, with the record of what it was trained on."""
    config = RunConfig(LEOConfig(**SMALL), DataConfig(dataset_name="glyphs"), EpisodeConfig(num_classes=3))
    path = tmp_path_factory.mktemp("classes") / "run"
    save_run(path, config, problem_of(config).data_record)
    return path


@pytest.fixture
def evaluate(runs, workers, tmp_path):
    """A function that evaluates a run alone and with two workers; returns the stems of both results' files."""

    def both(run, *flags):
        def start(output, *more, **how):
            return runs.start(
                "evaluate.py", f"--checkpoint_path={run}", f"--output={output}.json", *flags, *more, **how
            )

        alone = start(tmp_path / "one")
        said = workers.finish(tmp_path / "two", train=start, own=[[], [f"--checkpoint_path={tmp_path / 'no run'}"]])
        assert alone.wait() == 0, alone.said
        assert "the results are on worker 0" in said[1] and "LEO" not in said[1]
        return tmp_path / "one", tmp_path / "two"

    return both


def require_same_result(one, two, kind):
    expected, found = (kind.load(each.with_suffix(".npz")) for each in (one, two))
    for name in kind.kinds():
        if name != "seconds":
            value, ours = getattr(expected, name), getattr(found, name)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                np.testing.assert_allclose(ours, value, rtol=1e-4, atol=1e-6, err_msg=name)
            else:
                np.testing.assert_array_equal(ours, value, err_msg=name)
    written = [json.loads(each.with_suffix(".json").read_text()) for each in (one, two)]
    assert written[0].keys() == written[1].keys()


def test_evaluation_of_classification(classes, evaluate):
    one, two = evaluate(classes, "--num_tasks=11", "--metatest_batch_size=4")
    require_same_result(one, two, EvaluationResult)
    assert len(EvaluationResult.load(two.with_suffix(".npz")).yardstick_names) == 4  # the others read the data too


@pytest.mark.long
def test_evaluation_with_strengths_chosen_together(classes, evaluate):
    one, two = evaluate(classes, "--num_tasks=7", "--queries=3", "--yardsticks=ridge,lda,plda", "--calibrate")
    require_same_result(one, two, EvaluationResult)
    chosen = [json.loads(each.with_suffix(".json").read_text())["yardstick_choices"] for each in (one, two)]
    assert any("penalty" in choice for choice in chosen[0].values())
    for name, choice in chosen[0].items():
        assert {**choice, "seconds": 0} == {**chosen[1][name], "seconds": 0}


@pytest.mark.long
def test_evaluation_of_regression(evaluate, tmp_path):
    config = RunConfig(
        LEOConfig(**SMALL, inner_lr_init=0.01, dropout_rate=0.0),
        regression=RegressionConfig(**NETWORK),
        problem="regression",
    )
    save_run(tmp_path / "run", config, {"tasks": "sinusoids and lines"})
    one, two = evaluate(
        tmp_path / "run", "--num_tasks=25", "--samples=6", "--metatest_batch_size=4", "--shots_grid=1,5"
    )
    require_same_result(one, two, RegressionResult)


def test_a_lost_worker_ends_an_evaluation(runs, workers, classes, tmp_path):
    def start(path, *more, **how):
        flags = ("--num_tasks=100000", "--metatest_batch_size=10", "--worker_timeout=5", f"--output={path}")
        return runs.start("evaluate.py", f"--checkpoint_path={classes}", *flags, *more, **how)

    both = workers.start(tmp_path / "result.json", train=start)
    wait_for(both[0], "evaluating")
    both[1].kill(signal.SIGKILL)
    since = time.monotonic()
    assert both[0].wait() == 2, both[0].said
    assert time.monotonic() - since < 35
    assert "Error: Worker 1 (127.0.0.1:" in both[0].said and "same command to all workers again" in both[0].said
    assert not (tmp_path / "result.json").exists()


def require_refused(workers, start, output, said, **how):
    """Require that all workers refuse, in these words, and nothing is written."""
    both = workers.start(output, train=start, **how)
    for process in both:
        assert process.wait() == 2, process.said
        assert said in process.said and "Traceback" not in process.said
    assert not output.exists()


@pytest.mark.long
def test_what_does_not_fit_is_refused_by_all(runs, workers, classes, photos, tmp_path):
    def evaluate(path, *more, **how):
        flags = (f"--checkpoint_path={classes}", f"--output={path}", "--num_tasks=4")
        return runs.start("evaluate.py", *flags, *more, **how)

    def extract(path, *more, **how):
        flags = (f"--extractor={photos / 'network.keras'}", f"--images={photos / 'photos'}", f"--output={path}")
        return runs.start("leo_tf/features/extract/__main__.py", *flags, *more, **how)

    output = tmp_path / "result.json"
    none = [[f"--checkpoint_path={tmp_path / 'none'}"], []]
    require_refused(workers, evaluate, output, f"No run in {tmp_path / 'none'}", own=none)
    require_refused(workers, evaluate, output, "--seed=3 on worker 1 (127.0.0.1:", own=[[], ["--seed=3"]])
    wide_resnet(NetworkConfig(depth=10, width=1), 16, 3, 6, seed=4).save(tmp_path / "other.keras")
    other = [[], [f"--extractor={tmp_path / 'other.keras'}"]]
    require_refused(workers, extract, tmp_path / "data", "weights_sha256=", own=other)
    shutil.copytree(photos / "photos", tmp_path / "photos")
    (tmp_path / "photos" / "val" / "c06" / "0.png").unlink()
    fewer = [[], [f"--images={tmp_path / 'photos'}"]]
    require_refused(workers, extract, tmp_path / "data", "The workers differ: val_digest=", own=fewer)


def wait_for(process, text, seconds=100):
    until = time.monotonic() + seconds
    while text not in process.said and time.monotonic() < until:
        time.sleep(0.1)
    assert text in process.said, process.said


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Folders of images, one of which is cut off behind its header, and an untrained network."""
    root = tmp_path_factory.mktemp("photos")
    write_classes(root / "photos" / "train", range(6), images=60)
    write_classes(root / "photos" / "val", range(6, 9), images=5)
    cut = root / "photos" / "train" / "c02" / "7.png"
    cut.write_bytes(cut.read_bytes()[:-300])
    wide_resnet(NetworkConfig(depth=10, width=1), 16, 3, 6, seed=3).save(root / "network.keras")
    return root


def test_extraction(runs, workers, photos, tmp_path):
    def extract(path, *more, **how):
        flags = (f"--extractor={photos / 'network.keras'}", f"--images={photos / 'photos'}", f"--output={path}")
        return runs.start("leo_tf/features/extract/__main__.py", *flags, "--dtype=float32", *more, **how)

    alone = extract(tmp_path / "one")
    said = workers.finish(tmp_path / "two", train=extract)
    assert alone.wait() == 0, alone.said
    assert "359 images of 6 classes" in said[0] and "359 images" not in said[1]
    files = {file.name for file in (tmp_path / "one").iterdir()}
    assert {file.name for file in (tmp_path / "two").iterdir()} == files == {*FILES, "train.npz", "val.npz"}
    for split in ("train", "val"):
        one, two = (np.load(tmp_path / name / f"{split}.npz") for name in ("one", "two"))
        np.testing.assert_allclose(two["embeddings"], one["embeddings"], rtol=1e-5, atol=1e-6)
        for name in ("labels", "paths"):
            np.testing.assert_array_equal(two[name], one[name])
    for name in FILES:
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert list(json.loads((tmp_path / "two" / "card.json").read_text())["images"]["train"]["skipped"]) == [
        "train/c02/7.png"
    ]
