"""Timing in turns: on a noisy machine only what ran beside each other can be compared."""

import statistics
import time
from typing import NamedTuple


class Times(NamedTuple):
    """Milliseconds a unit over the repeats."""

    median: float
    low: float
    high: float


def in_turns(cases, units, repeats):
    """Time several cases, each once in every round.

    Args:
      cases: {name: Case}.
      units: {name: units of work in a turn}.
      repeats: rounds after a warm-up one.

    Returns:
      {name: list of milliseconds a unit, one for each round}.
    """
    rounds: dict[str, list[float]] = {name: [] for name in cases}
    for repeat in range(repeats + 1):
        for name, case in cases.items():
            start = time.perf_counter()
            case.run(units[name])
            if repeat:
                rounds[name].append(1000 * (time.perf_counter() - start) / units[name])
    return rounds


def summarize(rounds):
    """Return the Times of a list of milliseconds."""
    return Times(statistics.median(rounds), min(rounds), max(rounds))


def ratio(slow, fast):
    """Return the median over rounds of slow / fast, taken round by round."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))
