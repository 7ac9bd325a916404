"""Killed at any moment, a continued run ends as the one that was left alone."""

import random
import re
import time

import pytest
from harness import EVERY, STEPS, distinct, require_same, wait_for_step

REFUSED = "Another process is training in"


def kill_at(runs, path, seed):
    """Start or continue a run, and kill it a moment after a step, both drawn from a seed."""
    draw = random.Random(seed)
    process = runs.train(path)
    wait_for_step(process, path, draw.randrange(STEPS - EVERY))
    time.sleep(draw.uniform(0, 0.05))
    process.kill()
    assert process.wait() == -9, process.said


def test_a_chain_of_faults(runs, whole, tmp_path):
    """Two starts at the same moment, a kill at a random one, a kill inside a save, all of one run.

    Two more random kills without opting in are in tests/training/test_resume.py.
    """
    path = tmp_path / "run"
    both = runs.train(path), runs.train(path)
    wait_for_step(both[0], path, random.Random(0).randrange(STEPS - EVERY))
    for process in both:
        process.kill()
    statuses = {process.wait(): process.said for process in both}
    assert statuses.keys() == {-9, 2} and REFUSED in statuses[2].splitlines()[-1]
    if runs.can_strike:  # between the rename of the data and the index, without which they are no checkpoint
        assert runs.strike(path, 2, f"/latest/ckpt-{STEPS}.*").wait() == -9
    assert f"Trained {STEPS} steps" in runs.finish(path)
    require_same(path, whole)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_a_kill_at_a_random_moment(runs, whole, tmp_path, seed):
    path = tmp_path / "run"
    kill_at(runs, path, seed)
    runs.finish(path)
    require_same(path, whole)


@pytest.mark.long
@pytest.mark.parametrize("only", ["/best/*", "/latest/*", "/[dcml]*"])
def test_a_kill_at_every_change_of_a_checkpoint(runs, whole, tmp_path, only):
    """And of the folder's own small files; of the saves of latest/, the first and the one that drops the first."""
    changes = runs.changes(tmp_path / "counted", only)
    assert {"open", "write"} <= {call for _, call, _ in changes}
    for number in distinct(change for change in changes if not re.match("/latest/.*(80|160|200)", change[2])):
        path = tmp_path / f"run{number}"
        assert runs.strike(path, number, only).wait() == -9, changes[number - 1]
        runs.finish(path)
        require_same(path, whole)


@pytest.mark.long
def test_two_starts_at_the_same_moment(runs, whole, tmp_path):
    for trial in range(5):
        path = tmp_path / f"run{trial}"
        both = runs.train(path), runs.train(path)
        statuses = {process.wait(): process.said for process in both}
        assert statuses.keys() == {0, 2} and REFUSED in statuses[2].splitlines()[-1]
        require_same(path, whole)
