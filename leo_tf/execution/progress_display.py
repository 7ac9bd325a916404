"""Progress of running jobs: one bar per job in a terminal, a line per minute elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from leo_tf.evaluation.progress import time_text
from leo_tf.execution.job import Job
from leo_tf.runs.metrics import Progress, progress_of

_SECONDS_BETWEEN_LINES = 60.0  # outside a terminal


class ProgressDisplay:
    """Display of how far `total` jobs are, of which `done` have ended before; `unit` is what one is called: "trial".

    Of running ones it shows the best validation `measure`, such as "accuracy", as `text` formats it; empty if jobs have
    none. `log` is called with a line for each job that ends.
    """

    def __init__(
        self,
        total: int,
        done: int = 0,
        unit: str = "job",
        measure: str = "",
        text: Callable[[float], str] = str,
        higher_is_better: bool = True,
        log: Callable[[str], None] = print,
    ):
        self._total, self._unit, self._log = total, unit, log
        self._measure, self._text, self._higher_is_better = measure, text, higher_is_better
        self._start = self._last_line = time.perf_counter()
        self._done_before = self._done = done
        self._is_terminal = sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=done, unit=unit, disable=not self._is_terminal, dynamic_ncols=True)
        self._bars: dict[str, Any] = {}
        self._running: dict[str, tuple[Job, float]] = {}  # job and its start time by name

    def __enter__(self) -> "ProgressDisplay":
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            bar.close()
        self._bar.close()

    def started(self, job: Job) -> None:
        """Add a job that has started."""
        self._running[job.name] = job, time.perf_counter()
        if self._is_terminal:
            self._bars[job.name] = tqdm(desc=job.name, leave=False, dynamic_ncols=True, unit="step")

    def ended(self, job: Job, outcome: str) -> None:
        """Log a job's outcome, the number of finished jobs and the remaining time."""
        _, start = self._running.pop(job.name, (job, self._start))
        if job.name in self._bars:
            self._bars.pop(job.name).close()
        self._done += 1
        self._bar.update()
        seconds = time.perf_counter() - start
        count = f"{self._done} of {self._total} {self._unit}s"
        self._write(f"{job.name}: {outcome} after {seconds:.0f} s; {count}, {self._left()}")

    def refresh(self) -> None:
        """Update the display of running jobs; cheap enough to call every second."""
        if not self._is_terminal and time.perf_counter() - self._last_line <= _SECONDS_BETWEEN_LINES:
            return
        states = []
        for name, (job, _) in self._running.items():
            progress = progress_of(job.run) if job.run and self._measure else Progress()
            best = progress.best(self._measure, self._higher_is_better)
            state = f"best {self._text(best[1][self._measure])}" if best else "not validated yet"
            state = state if progress.step else "starting"
            if self._is_terminal:
                bar = self._bars[name]
                if progress.last_step:
                    bar.total = progress.last_step
                    bar.update(progress.step - bar.n)
                bar.set_postfix_str(state)
            steps = f"step {progress.step} of {progress.last_step}, " if progress.step else ""
            states.append(f"{name} {steps}{state}")
        if states and not self._is_terminal:
            self._write(f"running: {'; '.join(states)}; {self._left()}")

    def _left(self) -> str:
        ended = self._done - self._done_before
        if not ended:
            return f"{self._total - self._done} left"
        seconds = (time.perf_counter() - self._start) / ended * (self._total - self._done)
        return f"about {time_text(seconds)} left"

    def _write(self, line: str) -> None:
        self._last_line = time.perf_counter()
        with tqdm.external_write_mode(file=sys.stderr):
            self._log(line)
