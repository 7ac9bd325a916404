"""Runs that are resumed with another number of workers, and workers with different data."""

import numpy as np
import pytest
from harness import rows_of
from run_states import state_of
from worker_processes import require_near

pytestmark = pytest.mark.long

STEPS = ("--checkpoint_steps=20", "--log_steps=2", "--outer_lr=1e-5")


@pytest.fixture(scope="module")
def one(runs, tmp_path_factory):
    """The directory of a run on one device."""
    path = tmp_path_factory.mktemp("one") / "run"
    runs.finish(path, *STEPS, "--num_steps_limit=40")
    return path


@pytest.mark.parametrize(
    ("before", "after"),
    [(2, 1), pytest.param(1, 2, marks=pytest.mark.long), pytest.param(3, 2, marks=pytest.mark.long)],
)
def test_resume_with_another_number_of_workers(runs, workers, one, tmp_path, before, after):
    size = "--metatrain_batch_size=6" if 3 in (before, after) else "--metatrain_batch_size=2"
    reference = one
    if 3 in (before, after):
        reference = tmp_path / "reference"
        runs.finish(reference, *STEPS, size, "--num_steps_limit=40")

    def train(number, steps):
        flags = *STEPS, size, f"--num_steps_limit={steps}"
        if number == 1:
            return [runs.finish(tmp_path / "run", *flags)]
        return workers.finish(tmp_path / "run", *flags, count=number)

    train(before, 20)
    assert state_of(tmp_path / "run", "latest")["optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"] == 20
    train(after, 40)
    require_near(tmp_path / "run", reference)
    assert [row["step"] for row in rows_of(tmp_path / "run")] == [row["step"] for row in rows_of(reference)]


def test_different_data_are_refused(workers, tmp_path):
    """Paths may differ between workers, data may not."""
    for number, folder in enumerate(("here", "there")):
        (tmp_path / folder / "own").mkdir(parents=True)
        for split in ("train", "val"):
            rng = np.random.default_rng(number if split == "train" else 7)
            arrays = {"embeddings": rng.normal(size=(80, 6)), "labels": np.repeat(list("abcd"), 20)}
            np.savez(tmp_path / folder / "own" / f"{split}.npz", **arrays)
    flags = (*STEPS, "--num_steps_limit=40", "--dataset_name=own")
    own = [[f"--data_path={tmp_path / folder}"] for folder in ("here", "there")]
    for process in workers.start(tmp_path / "run", *flags, own=own):
        assert process.wait() == 2, process.output
        assert "Error: The workers differ: train_digest=" in process.output
        assert "on worker 1 (127.0.0.1:" in process.output
        assert "validation_digest" not in process.output
        assert "Traceback" not in process.output
    assert not (tmp_path / "run" / "latest").exists()
