"""A run of two workers equals the run of one device, stops, resumes, and ends when a worker ends."""

import signal
import time

import numpy as np
import pytest
from drawn_images import write_classes
from harness import files_of, require_same, rows_of, wait_for_step
from run_states import state_of
from worker_processes import BOUND, Workers, require_near

# With a larger learning rate, Adam would amplify the rounding of small gradients.
STEPS = ("--num_steps_limit=40", "--checkpoint_steps=20", "--log_steps=2", "--outer_lr=1e-5")
ENDLESS = ("--num_steps_limit=4000", "--checkpoint_steps=2000", "--log_steps=2", "--metavalid_tasks=0")


@pytest.fixture(scope="module")
def one(runs, tmp_path_factory):
    """The directory of a run on one device."""
    path = tmp_path_factory.mktemp("one") / "run"
    runs.finish(path, *STEPS)
    return path


@pytest.fixture(scope="module")
def two(runs, tmp_path_factory):
    """The directory of the same run with two workers, without faults."""
    path = tmp_path_factory.mktemp("two") / "run"
    with Workers(runs) as workers:
        output = workers.finish(path, *STEPS)
    assert "Running as worker 1" in output[1]
    return path


def require_near_rows(path, reference, ignoring=frozenset()):
    """Require that two runs have the same metrics, up to rounding, in all columns except some."""
    for row, expected in zip(rows_of(path), rows_of(reference), strict=True):
        assert row.keys() == expected.keys()
        for name in row.keys() - {"steps_per_second"} - ignoring:
            if row[name] or expected[name]:
                np.testing.assert_allclose(float(row[name]), float(expected[name]), rtol=1e-3, atol=1e-6, err_msg=name)


def test_two_workers_equal_one_device(one, two):
    require_near(two, one)
    assert files_of(two) == files_of(one)
    require_near_rows(two, one)


@pytest.mark.long
def test_sigterm_to_one_stops_all_and_the_same_command_resumes(workers, two, tmp_path):
    path = tmp_path / "run"
    started = workers.start(path, *STEPS)
    wait_for_step(started[0], path, 4)
    started[1].kill(signal.SIGTERM)
    for process in started:
        assert process.wait() == 128 + signal.SIGTERM, process.output
        assert "Stopped by signal 15" in process.output
    reached = state_of(path, "latest")["optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"]
    assert 4 <= reached < 40
    output, _ = workers.finish(path, *STEPS)
    assert f"from step {reached}" in output
    require_same(path, two)


def ended(processes, since):
    """Require that processes end with status 2 in time; return the output of each."""
    for process in processes:
        assert process.wait() == 2, process.output
    assert time.monotonic() - since < BOUND
    assert not any("Traceback" in process.output for process in processes)
    return [process.output for process in processes]


@pytest.mark.long
@pytest.mark.parametrize(
    ("victim", "how"),
    [
        (1, signal.SIGKILL),
        (0, signal.SIGKILL),
        (1, signal.SIGSTOP),
        (0, signal.SIGSTOP),
    ],
)
def test_lost_worker_ends_the_others(workers, tmp_path, victim, how):
    started = workers.start(tmp_path / "run", *ENDLESS, "--worker_timeout=10")
    wait_for_step(started[0], tmp_path / "run", 4)
    started[victim].kill(how)
    (output,) = ended([started[1 - victim]], time.monotonic() + 10)
    assert f"Error: Worker {victim} (127.0.0.1:" in output
    assert "to resume from the last checkpoint" in output
    if how == signal.SIGSTOP:  # it continues, and the others have ended
        started[victim].kill(signal.SIGCONT)
        ended([started[victim]], time.monotonic() + 10)


def test_different_settings_are_refused_by_name(workers, tmp_path):
    both = workers.start(tmp_path / "run", *ENDLESS, own=[["--outer_lr=0.001"], ["--outer_lr=0.002"]])
    output = ended(both, time.monotonic())
    for each in output:
        assert "Error: The workers differ: outer_lr=0.002 on worker 1 (127.0.0.1:" in each
        assert "outer_lr=0.001 on worker 0 (127.0.0.1:" in each and "Flags: --outer_lr" in each
    assert not (tmp_path / "run").exists()


@pytest.mark.long
@pytest.mark.parametrize("there", [0, 1])
def test_missing_worker_is_named(workers, tmp_path, there):
    alone = workers.start(tmp_path / "run", *ENDLESS, "--worker_timeout=2", only=[there])
    (output,) = ended(alone, time.monotonic())
    assert f"Error: Worker {1 - there} (127.0.0.1:" in output
    assert "did not appear within 2 seconds (worker_timeout)" in output


@pytest.mark.long
def test_errors_of_the_chief_end_all(workers, one):
    output = ended(workers.start(one, *STEPS, "--seed=1"), time.monotonic())
    for each in output:
        assert "Error: Worker 0 (127.0.0.1:" in each
        assert "holds a run with other settings" in each
        assert "training.seed: 0 != 1" in each


@pytest.mark.long
def test_errors_of_one_worker_end_all(workers, tmp_path):
    """Its data path differs, which is allowed, but does not exist."""
    data = {name: tmp_path / name for name in ("there", "gone")}
    data["there"].mkdir()
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        (data["there"] / "own").mkdir(exist_ok=True)
        labels = np.repeat([f"{split}{number}" for number in range(4)], 20)
        np.savez(data["there"] / "own" / f"{split}.npz", embeddings=rng.normal(size=(80, 6)), labels=labels)
    own = [[f"--data_path={folder}"] for folder in data.values()]
    both = workers.start(tmp_path / "run", *STEPS, "--dataset_name=own", own=own)
    output = ended(both, time.monotonic())
    assert "Error: Worker 1 (127.0.0.1:" in output[0]
    assert "gone" in output[0]
    assert "Error: " in output[1]
    assert "gone" in output[1]


@pytest.mark.long
def test_warm_start(runs, workers, one, tmp_path):
    """Only the chief reads the run of init_from."""
    start = (*STEPS, f"--init_from={one}", "--outer_lr=1e-5")
    runs.finish(tmp_path / "one", *start)
    workers.finish(tmp_path / "two", *start)
    require_near(tmp_path / "two", tmp_path / "one")


@pytest.mark.long
def test_pre_training(runs, workers, tmp_path):
    """Dropout, and batch normalisation over both workers with its moving averages."""
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
    assert alone.wait() == 0, alone.output
    workers.finish(tmp_path / "two", train=pretrain)
    require_near(tmp_path / "two", tmp_path / "one")
    # The norm is the mean over the gradients of the shares of a batch.
    require_near_rows(tmp_path / "two", tmp_path / "one", {"gradient_norm"})


@pytest.mark.long
def test_all_of_three_workers_name_the_lost_one(workers, tmp_path):
    started = workers.start(tmp_path / "run", *ENDLESS, "--worker_timeout=10", "--metatrain_batch_size=3", count=3)
    wait_for_step(started[0], tmp_path / "run", 4)
    started[2].kill(signal.SIGKILL)
    for output in ended(started[:2], time.monotonic() + 10):
        assert "Error: Worker 2 (127.0.0.1:" in output
