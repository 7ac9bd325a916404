"""A long run, in a process of its own, neither slows down nor grows; TensorBoard's files stay small."""

import os
import time
from pathlib import Path

import pytest
from harness import SECONDS, rows_of

STEPS, EARLY = 20_000, 2_000
MANY = ("--checkpoint_steps=1000", "--log_steps=100", f"--num_steps_limit={STEPS}", "--metavalid_tasks=2")
LARGEST = 5e6  # bytes of events
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc"),
]


def resident_megabytes(process):
    """Return the memory of a process in MB; None after it has ended."""
    try:
        return int(Path(f"/proc/{process.number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return None


def watch(process, path):
    """Return [(step, megabytes)] of a run until it ends."""
    found, until = [], time.monotonic() + 40 * SECONDS
    while time.monotonic() < until:
        rows, memory = rows_of(path), resident_megabytes(process)
        if not memory:
            return found
        if rows:
            found.append((int(rows[-1]["step"] or 0), memory))
        time.sleep(0.5)
    process.kill()
    return found


def test_speed_and_memory_over_20000_steps(runs, tmp_path):
    path = tmp_path / "run"
    process = runs.train(path, *MANY)
    watched = watch(process, path)
    assert process.wait() == 0, process.output
    early = next(memory for step, memory in watched if step >= EARLY)
    late = watched[-1][1]
    speeds = [float(row["steps_per_second"]) for row in rows_of(path) if row["steps_per_second"]]
    quarter = len(speeds) // 4
    first, last = (sorted(part)[quarter // 2] for part in (speeds[1 : quarter + 1], speeds[-quarter:]))
    events = sum(file.stat().st_size for file in path.rglob("events.*"))
    print(
        f"{STEPS} steps: {early:.0f} MB at step {EARLY}, {late:.0f} MB at the end; {first:.0f} steps/s in the first "
        f"quarter, {last:.0f} in the last (medians); {events / 1e6:.2f} MB of events"
    )
    assert watched[-1][0] >= 0.9 * STEPS and late < early + 30
    assert last > 0.6 * first
    assert events < LARGEST
