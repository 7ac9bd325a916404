"""Time and memory: cases are timed in turns, because on a noisy machine only neighbouring measurements compare."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

_STATM = Path("/proc/self/statm")


class Case(NamedTuple):
    """Something to time: `run(n)` does n units of work and waits for them."""

    run: Callable[[int], None]
    seconds_to_first: float  # build, trace and compile, until the first unit is done


class Times(NamedTuple):
    """Milliseconds per unit over the rounds."""

    median: float
    low: float
    high: float


def first_run(run: Callable[[int], None], start: float) -> Case:
    """Run the first unit of a case whose building started at `start`; return the Case."""
    run(1)
    return Case(run, time.perf_counter() - start)


def time_in_turns(cases: Mapping[str, Case], units: Mapping[str, int], rounds: int) -> dict[str, list[float]]:
    """Time cases, each once per round, after a warm-up round.

    Args:
      cases: {name: Case}.
      units: {name: units of work per round}.
      rounds: number of rounds.

    Returns:
      {name: milliseconds per unit in each round}.
    """
    milliseconds: dict[str, list[float]] = {name: [] for name in cases}
    for round_number in range(rounds + 1):
        for name, case in cases.items():
            start = time.perf_counter()
            case.run(units[name])
            if round_number:
                milliseconds[name].append(1000 * (time.perf_counter() - start) / units[name])
    return milliseconds


def summarize(milliseconds: list[float]) -> Times:
    """Return the Times of a list of milliseconds."""
    return Times(statistics.median(milliseconds), min(milliseconds), max(milliseconds))


def ratio(slow: list[float], fast: list[float]) -> float:
    """Return the median over rounds of slow / fast."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def resident_megabytes() -> float:
    """Return this process's current memory in MB; NaN without /proc."""
    if not _STATM.exists():
        return float("nan")
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
