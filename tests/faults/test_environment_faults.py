"""Faults of the environment: a clock that jumps, NaN in the data."""

import numpy as np
import pytest
from event_files import curves_of
from harness import EVERY, STEPS, require_same, rows_of
from run_states import state_of

pytestmark = pytest.mark.long


@pytest.mark.parametrize("seconds", [7200, 10**9])
def test_clock_jumps(runs, reference, tmp_path, seconds):
    """The clock jumps by hours or decades all the time; weights and TensorBoard's curves stay the same."""
    path = tmp_path / "run"
    runs.finish(path, environment={"CLOCK_JUMP": str(seconds)})
    require_same(path, reference)
    assert list(curves_of(path, "accuracy")["validation"]) == list(range(EVERY, STEPS + 1, EVERY))


@pytest.mark.parametrize("resumed", [False, True])
def test_nan_in_a_batch(runs, reference, tmp_path, resumed):
    """One step is lost and logged, also in a run that is resumed after it."""
    path, patched, step = tmp_path / "run", {"patch": ["put_nan_into_batch", EVERY + 12]}, EVERY + 15
    if resumed:
        process = runs.train(path, f"--num_steps_limit={2 * EVERY}", **patched)
        assert process.wait() == 0, process.output
    output = runs.finish(path, **patched)
    assert resumed or f"step {step}: a NaN loss or gradient in 20 % of the last steps." in output
    bad = {int(row["step"]) for row in rows_of(path) if row["nan_steps"] and float(row["nan_steps"])}
    assert bad == {step}
    for which in ("latest", "best"):
        assert all(np.isfinite(value).all() for value in state_of(path, which).values() if value.dtype.kind == "f")
    untouched = [[{**row, "steps_per_second": None} for row in rows_of(p)[: EVERY // 5]] for p in (path, reference)]
    assert untouched[0] == untouched[1]
