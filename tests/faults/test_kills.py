"""Runs that are killed at any moment and resumed end like the reference run."""

import random
import re
import time

import pytest
from harness import EVERY, STEPS, distinct, require_same, wait_for_step

REFUSED = "Another process is training in"


def kill_at(runs, path, seed):
    """Start or resume a run, and kill it shortly after a step; step and delay are random."""
    draw = random.Random(seed)
    process = runs.train(path)
    wait_for_step(process, path, draw.randrange(STEPS - EVERY))
    time.sleep(draw.uniform(0, 0.05))
    process.kill()
    assert process.wait() == -9, process.output


@pytest.mark.long
def test_sequence_of_faults(runs, reference, tmp_path):
    """Two simultaneous starts, a kill at a random moment and a kill inside a save, all in one run.

    tests/training/test_resume.py has two more random kills.
    """
    path = tmp_path / "run"
    both = runs.train(path), runs.train(path)
    wait_for_step(both[0], path, random.Random(0).randrange(STEPS - EVERY))
    for process in both:
        process.kill()
    statuses = {process.wait(): process.output for process in both}
    assert statuses.keys() == {-9, 2} and REFUSED in statuses[2]
    if runs.can_inject:  # between the renames of the data and of the index, without which the data are not a checkpoint
        assert runs.train_with_fault(path, 2, f"/latest/ckpt-{STEPS}.*").wait() == -9
    assert f"Trained {STEPS} steps" in runs.finish(path)
    require_same(path, reference)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_kill_at_a_random_moment(runs, reference, tmp_path, seed):
    path = tmp_path / "run"
    kill_at(runs, path, seed)
    runs.finish(path)
    require_same(path, reference)


@pytest.mark.long
@pytest.mark.parametrize("only", ["/best/*", "/latest/*", "/[dcml]*"])
def test_kill_at_every_change_of_a_file(runs, reference, tmp_path, only):
    """Checkpoints and small files; of the saves in latest/, the first one and the one that removes the first."""
    changes = runs.changes(tmp_path / "counted", only)
    assert {"open", "write"} <= {call for _, call, _ in changes}
    for number in distinct(change for change in changes if not re.match("/latest/.*(80|160|200)", change[2])):
        path = tmp_path / f"run{number}"
        assert runs.train_with_fault(path, number, only).wait() == -9, changes[number - 1]
        runs.finish(path)
        require_same(path, reference)


@pytest.mark.long
def test_two_simultaneous_starts(runs, reference, tmp_path):
    for trial in range(5):
        path = tmp_path / f"run{trial}"
        both = runs.train(path), runs.train(path)
        statuses = {process.wait(): process.output for process in both}
        assert statuses.keys() == {0, 2} and REFUSED in statuses[2]
        require_same(path, reference)
