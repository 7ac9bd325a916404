"""A run of two workers: it is the run of one device, stops and goes on as one, and ends where a worker ends."""

import signal
import time

import numpy as np
import pytest
from drawn_images import write_classes
from harness import files_of, require_same, rows_of, wait_for_step
from run_states import state_of
from worker_processes import BOUND, Workers, require_near

# A small rate: with a larger one Adam makes much of the rounding of small gradients.
STEPS = ("--num_steps_limit=40", "--checkpoint_steps=20", "--log_steps=2", "--outer_lr=1e-5")
ENDLESS = ("--num_steps_limit=4000", "--checkpoint_steps=2000", "--log_steps=2", "--metavalid_tasks=0")


@pytest.fixture(scope="module")
def one(runs, tmp_path_factory):
    """The folder of a run of one device."""
    path = tmp_path_factory.mktemp("one") / "run"
    runs.finish(path, *STEPS)
    return path


@pytest.fixture(scope="module")
def two(runs, tmp_path_factory):
    """The folder of the same run of two workers, left alone."""
    path = tmp_path_factory.mktemp("two") / "run"
    with Workers(runs) as workers:
        said = workers.finish(path, *STEPS)
    assert "Training as worker 1" in said[1]
    return path


def require_near_rows(path, whole, besides=frozenset()):
    """Require that two runs logged, and validated, the same to rounding, in all columns but some."""
    for row, expected in zip(rows_of(path), rows_of(whole), strict=True):
        assert row.keys() == expected.keys()
        for name in row.keys() - {"steps_per_second"} - besides:
            if row[name] or expected[name]:
                np.testing.assert_allclose(float(row[name]), float(expected[name]), rtol=1e-3, atol=1e-6, err_msg=name)


def test_two_workers_are_one_device(one, two):
    require_near(two, one)
    assert files_of(two) == files_of(one)
    require_near_rows(two, one)


def test_sigterm_to_one_stops_all_and_the_same_command_goes_on(workers, two, tmp_path):
    path = tmp_path / "run"
    struck = workers.start(path, *STEPS)
    wait_for_step(struck[0], path, 4)
    struck[1].kill(signal.SIGTERM)
    for process in struck:
        assert process.wait() == 128 + signal.SIGTERM, process.said
        assert "Stopped by signal 15" in process.said
    reached = state_of(path, "latest")["optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"]
    assert 4 <= reached < 40
    said, _ = workers.finish(path, *STEPS)
    assert f"from step {reached}" in said
    require_same(path, two)


def ended(processes, since):
    """Require that processes end with status 2 within the bound; return what each said."""
    for process in processes:
        assert process.wait() == 2, process.said
    assert time.monotonic() - since < BOUND
    assert not any("Traceback" in process.said for process in processes)
    return [process.said for process in processes]


@pytest.mark.parametrize(
    ("victim", "how"),
    [
        (1, signal.SIGKILL),
        pytest.param(0, signal.SIGKILL, marks=pytest.mark.long),
        pytest.param(1, signal.SIGSTOP, marks=pytest.mark.long),
        pytest.param(0, signal.SIGSTOP, marks=pytest.mark.long),
    ],
)
def test_a_lost_worker_ends_the_others(workers, tmp_path, victim, how):
    started = workers.start(tmp_path / "run", *ENDLESS, "--worker_timeout=10")
    wait_for_step(started[0], tmp_path / "run", 4)
    started[victim].kill(how)
    (said,) = ended([started[1 - victim]], time.monotonic() + 10)
    assert f"Error: Worker {victim} (127.0.0.1:" in said
    assert "goes on from the last checkpoint" in said
    if how == signal.SIGSTOP:  # it wakes up, and finds that the others are gone
        started[victim].kill(signal.SIGCONT)
        ended([started[victim]], time.monotonic() + 10)


def test_workers_started_otherwise_are_refused_by_name(workers, tmp_path):
    both = workers.start(tmp_path / "run", *ENDLESS, own=[["--outer_lr=0.001"], ["--outer_lr=0.002"]])
    said = ended(both, time.monotonic())
    for each in said:
        assert "Error: The workers differ: --outer_lr=0.002 on worker 1 (127.0.0.1:" in each
        assert "--outer_lr=0.001 on worker 0 (127.0.0.1:" in each
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("there", [0, 1])
def test_a_worker_that_never_appears_is_named(workers, tmp_path, there):
    alone = workers.start(tmp_path / "run", *ENDLESS, "--worker_timeout=2", only=[there])
    (said,) = ended(alone, time.monotonic())
    assert f"Error: Worker {1 - there} (127.0.0.1:" in said
    assert "did not appear within 2 seconds (--worker_timeout)" in said


def test_what_the_chief_refuses_all_refuse(workers, one):
    said = ended(workers.start(one, *STEPS, "--seed=1"), time.monotonic())
    for each in said:
        assert "Error: Worker 0 (127.0.0.1:" in each
        assert "holds a run made otherwise" in each
        assert "training.seed: 0 != 1" in each


@pytest.mark.long
def test_what_one_worker_cannot_read_ends_all(workers, tmp_path):
    """Its data lie elsewhere, which is allowed, and are not there."""
    data = {name: tmp_path / name for name in ("there", "gone")}
    data["there"].mkdir()
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        (data["there"] / "own").mkdir(exist_ok=True)
        labels = np.repeat(list("abcd"), 20)
        np.savez(data["there"] / "own" / f"{split}.npz", embeddings=rng.normal(size=(80, 6)), labels=labels)
    own = [[f"--data_path={folder}"] for folder in data.values()]
    both = workers.start(tmp_path / "run", *STEPS, "--dataset_name=own", own=own)
    said = ended(both, time.monotonic())
    assert "Error: Worker 1 (127.0.0.1:" in said[0]
    assert "gone" in said[0]
    assert "Error: " in said[1]
    assert "gone" in said[1]


@pytest.mark.long
def test_a_run_that_starts_from_another(runs, workers, one, tmp_path):
    """Only the chief reads that run."""
    start = (*STEPS, f"--init_from={one}", "--outer_lr=1e-5")
    runs.finish(tmp_path / "one", *start)
    workers.finish(tmp_path / "two", *start)
    require_near(tmp_path / "two", tmp_path / "one")


@pytest.mark.long
def test_pre_training(runs, workers, tmp_path):
    """With dropout and batch normalisation over both workers, whose moving averages are state too."""
    for split, labels in {"train": range(4), "val": range(4, 7)}.items():
        write_classes(tmp_path / "photos" / split, labels)
    flags = (
        *(f"--images={tmp_path / 'photos'}", f"--cache_dir={tmp_path / 'cache'}", "--image_size=16", "--batch_size=8"),
        *("--num_steps_limit=4", "--checkpoint_steps=2", "--log_steps=1", "--learning_rate=0.01", "--depth=10"),
        *("--width=1", "--dropout_rate=0.1", "--eval_ways=3", "--eval_tasks=4", "--heldout_fraction=0.2"),
    )

    def pretrain(path, *more, **how):
        return runs.start("leo_tf/features/pretrain/__main__.py", f"--checkpoint_path={path}", *flags, *more, **how)

    alone = pretrain(tmp_path / "one")
    assert alone.wait() == 0, alone.said
    workers.finish(tmp_path / "two", train=pretrain)
    require_near(tmp_path / "two", tmp_path / "one")
    # The norm is the mean over shares of a batch, of each share's gradient.
    require_near_rows(tmp_path / "two", tmp_path / "one", {"gradient_norm"})


@pytest.mark.long
def test_of_three_workers_all_name_the_one_that_was_lost(workers, tmp_path):
    started = workers.start(tmp_path / "run", *ENDLESS, "--worker_timeout=10", "--metatrain_batch_size=3", count=3)
    wait_for_step(started[0], tmp_path / "run", 4)
    started[2].kill(signal.SIGKILL)
    for said in ended(started[:2], time.monotonic() + 10):
        assert "Error: Worker 2 (127.0.0.1:" in said
