"""An evaluation shared by two workers gives the numbers of one process, and ends when a worker ends."""

import json
import signal
import time

import numpy as np
import pytest
from saved_runs import save_run
from worker_processes import BOUND, wait_for

from leo_tf.classification.results import EvaluationResult
from leo_tf.config import DataConfig, EpisodeConfig, LEOConfig, RegressionConfig, RunConfig
from leo_tf.regression.results import RegressionResult
from leo_tf.runs.registry import problem_of

pytestmark = pytest.mark.long

SMALL = {"inner_unroll_length": 1, "finetuning_unroll_length": 1, "num_latents": 2}


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """An untrained run on the glyphs, with the record of its training data."""
    config = RunConfig(LEOConfig(**SMALL), DataConfig(dataset_name="glyphs"), EpisodeConfig(num_classes=3))
    path = tmp_path_factory.mktemp("classes") / "run"
    save_run(path, config, problem_of(config).data_record)
    return path


@pytest.fixture
def evaluate(runs):
    """A function that starts an evaluation of a run, given the names of the run and of the result."""

    def start(run, output, *more, **how):
        return runs.start("evaluate.py", f"--checkpoint_path={run}", f"--output={output}.json", *more, **how)

    return start


@pytest.fixture
def shared(evaluate, workers, tmp_path):
    """A function that evaluates a run with one process and with two workers, and returns both JSON results."""

    def both(run, kind, *flags):
        def start(output, *more, **how):
            return evaluate(run, output, *flags, *more, **how)

        alone = start(tmp_path / "one")
        output = workers.finish(tmp_path / "two", train=start, own=[[], [f"--checkpoint_path={tmp_path / 'no run'}"]])
        assert alone.wait() == 0, alone.output
        assert "LEO" in output[0] and "LEO" not in output[1] and "the results are on worker 0" in output[1]
        names = [tmp_path / "one", tmp_path / "two"]
        require_same(*(kind.load(name.with_suffix(".npz")) for name in names))
        return [json.loads(name.with_suffix(".json").read_text()) for name in names]

    return both


def require_same(expected, found):
    """Require that two Results are the same, up to rounding."""
    for name in expected.kinds().keys() - {"seconds"}:
        value, ours = getattr(expected, name), getattr(found, name)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            np.testing.assert_allclose(ours, value, rtol=1e-4, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(ours, value, err_msg=name)


def test_classification(classes, shared):
    """Only the chief reads the run; all workers read the data, including the training data of transforms."""
    one, two = shared(classes, EvaluationResult, "--num_tasks=11", "--metatest_batch_size=4")
    assert one.keys() == two.keys() and len(two["baselines"]) == 4


@pytest.mark.long
def test_hyperparameters_of_baselines_are_chosen_together(classes, shared):
    few = ("--num_tasks=7", "--queries=3", "--baselines=ridge,lda,plda", "--calibrate")
    chosen = [found["baseline_choices"] for found in shared(classes, EvaluationResult, *few)]
    assert any("penalty" in choice for choice in chosen[0].values())
    for name, choice in chosen[0].items():
        assert {**choice, "seconds": 0} == {**chosen[1][name], "seconds": 0}


@pytest.mark.long
def test_regression(shared, tmp_path):
    units = {f"{part}_units": 4 for part in ("network", "encoder", "relation", "decoder")}
    model = LEOConfig(**SMALL, inner_lr_init=0.01, dropout_rate=0.0)
    config = RunConfig(model, regression=RegressionConfig(**units), problem="regression")
    save_run(tmp_path / "run", config, {"tasks": "sinusoids and lines"})
    few = ("--num_tasks=25", "--samples=6", "--metatest_batch_size=4", "--shots_grid=1,5")
    one, two = shared(tmp_path / "run", RegressionResult, *few)
    assert one.keys() == two.keys() and "calibrated_spread" in two


@pytest.mark.long
@pytest.mark.parametrize("victim", [0, 1])
def test_lost_worker_ends_the_other(classes, evaluate, workers, tmp_path, victim):
    def start(output, *more, **how):
        return evaluate(classes, output, "--num_tasks=100000", "--metatest_batch_size=1", *more, **how)

    both = workers.start(tmp_path / "result", "--worker_timeout=5", train=start)
    wait_for(both[0], "evaluating with 2 workers")
    both[victim].kill(signal.SIGKILL)
    since, left = time.monotonic(), both[1 - victim]
    assert left.wait() == 2, left.output
    assert time.monotonic() - since < 5 + BOUND
    assert f"Error: Worker {victim} (127.0.0.1:" in left.output and "Traceback" not in left.output
    assert "is lost" in left.output and "Give the same command to all workers again." in left.output
    assert not list(tmp_path.glob("result*"))


@pytest.mark.long
def test_errors_end_all_workers(classes, evaluate, workers, tmp_path):
    def start(output, *more, **how):
        return evaluate(classes, output, "--num_tasks=4", *more, **how)

    result, nowhere = tmp_path / "result", tmp_path / "no run"
    workers.require_refused(result, f"No run in {nowhere}", [f"--checkpoint_path={nowhere}"], start)
    workers.require_refused(result, "seed=3 on worker 1 (127.0.0.1:", ["--seed=3"], start, whose=1)
    assert not list(tmp_path.glob("result*"))
