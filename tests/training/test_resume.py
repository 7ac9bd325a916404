"""A run that is terminated, killed and continued is the run that was not."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from event_files import curves_of
from harness import Runs, rows_of, wait_for_step
from run_states import state_of

import leo_tf

ROOT = Path(__file__).parents[2]
STEPS, EVERY = 96, 16


KINDS = {
    "classification": ("--dataset_name=glyphs", "--metavalid_queries=5"),
    "regression": (
        *("--problem=regression", "--dropout_rate=0", "--outer_lr_schedule=cosine", "--inner_lr_init=0.01"),
        *("--network_units=8", "--network_layers=2", "--encoder_units=8", "--relation_units=8", "--decoder_units=8"),
        *("--num_tr_examples_per_class=5", "--inner_gradient_norm_threshold=10"),
    ),
}


def flags(kind, path, *more):
    return [
        *(f"--checkpoint_path={path}", "--jit=off", *KINDS[kind]),
        *("--num_latents=8", "--inner_unroll_length=1", "--finetuning_unroll_length=1"),
        *("--metatrain_batch_size=4", "--metavalid_tasks=20"),
        *(f"--checkpoint_steps={EVERY}", "--log_steps=8", f"--num_steps_limit={STEPS}", "--outer_lr=0.001", *more),
    ]


def environment():
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Starts train.py in forks, each of which saves the seconds of an import."""
    runs = Runs(tmp_path_factory.mktemp("output"), None)
    yield runs
    runs.close()


def finish(runs, kind, path):
    process = runs.start("train.py", *flags(kind, path))
    assert process.wait() == 0, process.output
    return process.output


def stop_after(runs, kind, path, step, signum):
    """Start or continue a run, send it a signal once it has logged `step`, and return its exit status."""
    process = runs.start("train.py", *flags(kind, path))
    wait_for_step(process, path, step)
    process.kill(signum)
    return process.wait()


@pytest.fixture(scope="module", params=["classification", pytest.param("regression", marks=pytest.mark.long)])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def whole(runs, kind, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole")
    finish(runs, kind, path)
    return path


@pytest.fixture(scope="module")
def broken(runs, kind, tmp_path_factory):
    path = tmp_path_factory.mktemp("broken")
    moment = random.Random(f"{kind} 0").randrange(2 * EVERY, 5 * EVERY)
    statuses = tuple(
        stop_after(runs, kind, path, step, signum)
        for step, signum in ((EVERY + 8, signal.SIGTERM), (moment, signal.SIGKILL))
    )
    finish(runs, kind, path)
    return path, statuses


def test_signals_have_their_exit_status(broken):
    assert broken[1] == (128 + signal.SIGTERM, -signal.SIGKILL)


@pytest.mark.parametrize("which", ["latest", "best"])
def test_interrupted_run_has_the_weights_of_an_uninterrupted_one(kind, whole, broken, which):
    expected, got = state_of(whole, which), state_of(broken[0], which)
    assert expected.keys() == got.keys()
    assert any({"classification": "best_accuracy", "regression": "best_mse"}[kind] in name for name in got)
    for name in expected:
        np.testing.assert_array_equal(expected[name], got[name], err_msg=name)


def test_interrupted_run_has_the_metrics_of_an_uninterrupted_one(whole, broken):
    def compared(path):
        return [{k: v for k, v in row.items() if k != "steps_per_second"} for row in rows_of(path)]

    assert compared(whole) == compared(broken[0])
    validations = [row for row in rows_of(whole) if row.get("validation_accuracy") or row.get("validation_mse")]
    assert [int(row["step"]) for row in validations] == list(range(EVERY, STEPS + 1, EVERY))
    chart = "loss/total" if validations[0].get("validation_mse") else "accuracy"
    curves, expected = curves_of(broken[0], chart), curves_of(whole, chart)
    assert curves.keys() == expected.keys() and "train" in curves
    for curve, points in expected.items():
        assert curves[curve] == pytest.approx(points, rel=1e-5), curve


def test_finished_run_says_so(runs, kind, whole):
    before = state_of(whole, "latest")
    assert f"already trained {STEPS} steps" in finish(runs, kind, whole)
    assert all(np.array_equal(before[name], value) for name, value in state_of(whole, "latest").items())


def test_other_configuration_is_refused_with_the_fields_named(runs, kind, whole):
    process = runs.start("train.py", *flags(kind, whole, "--num_latents=4", "--outer_lr=0.01"))
    assert process.wait() == 2
    assert "model.num_latents: 8 != 4" in process.output and "training.outer_lr: 0.001 != 0.01" in process.output
    assert "Traceback" not in process.output


@pytest.mark.long
@pytest.mark.parametrize("kind", ["classification"], indirect=True)
def test_full_disk_leaves_the_previous_checkpoint(kind, whole, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(whole, path)
    before = state_of(path, "latest")

    limit = next((path / "latest").glob("*.data-*")).stat().st_size - 1

    def no_large_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    def run(**kwargs):
        return subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *flags(kind, path, f"--num_steps_limit={STEPS + EVERY}")],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            **kwargs,
        )

    done = run(preexec_fn=no_large_files)
    assert done.returncode == 2, done.stderr
    assert "Cannot write in" in done.stderr and "is intact" in done.stderr and "Traceback" not in done.stderr
    after = state_of(path, "latest")
    assert all(np.array_equal(value, after[name]) for name, value in before.items())
    assert run().returncode == 0


@pytest.mark.long
@pytest.mark.parametrize("kind", ["classification"], indirect=True)
def test_evaluation_needs_only_the_folder(whole):
    done = subprocess.run(
        [sys.executable, str(ROOT / "evaluate.py"), f"--checkpoint_path={whole}", "--num_tasks=40"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((whole / "evaluation-test-40tasks.json").read_text())
    table = leo_tf.EmbeddingTable.load(None, "glyphs", "test")
    result = leo_tf.evaluate(leo_tf.load(whole), table, num_tasks=40)
    # Another process, with other threads: a query on the border may fall on the other side.
    assert written["accuracy"]["mean"] == pytest.approx(result.accuracy.mean, abs=2e-3)
    assert f"LEO {100 * written['accuracy']['mean']:.2f} +- " in done.stdout
    assert "nearest class mean" in done.stdout
