"""A clock that jumps, numbers that are none."""

import numpy as np
import pytest
from event_files import curves_of
from harness import EVERY, STEPS, require_same, rows_of
from run_states import state_of

pytestmark = pytest.mark.long


@pytest.mark.parametrize("seconds", [7200, 10**9])
def test_a_clock_that_jumps(runs, whole, tmp_path, seconds):
    """Back and forth by hours or decades, all the time: the same weights, and curves that TensorBoard reads."""
    path = tmp_path / "run"
    runs.finish(path, environment={"CLOCK_JUMP": str(seconds)})
    require_same(path, whole)
    assert list(curves_of(path, "accuracy")["validation"]) == list(range(EVERY, STEPS + 1, EVERY))


@pytest.mark.parametrize("continued", [False, True])
def test_nan_planted_in_a_batch(runs, whole, tmp_path, continued):
    """One step is lost, and said; also where the run is continued after it."""
    path, plant, step = tmp_path / "run", {"prepare": ["plant_nan", EVERY + 12]}, EVERY + 15
    if continued:
        process = runs.train(path, f"--num_steps_limit={2 * EVERY}", **plant)
        assert process.wait() == 0, process.said
    said = runs.finish(path, **plant)
    assert continued or f"step {step}: a NaN loss or gradient in 20 % of the last steps." in said
    bad = {int(row["step"]) for row in rows_of(path) if row["nan_steps"] and float(row["nan_steps"])}
    assert bad == {step}
    for which in ("latest", "best"):
        assert all(np.isfinite(value).all() for value in state_of(path, which).values() if value.dtype.kind == "f")
    untouched = [[{**row, "steps_per_second": None} for row in rows_of(p)[: EVERY // 5]] for p in (path, whole)]
    assert untouched[0] == untouched[1]
