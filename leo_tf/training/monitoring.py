"""Output of a run: metrics.csv, TensorBoard, a progress bar or log lines."""

import contextlib
import csv
import io
import logging
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from leo_tf.errors import InputError
from leo_tf.evaluation.progress import time_text
from leo_tf.files import replace_file
from leo_tf.problem import Validation
from leo_tf.runs import RunDirectory
from leo_tf.training.events import BEST, Events, write_result
from leo_tf.training.work import Work

_NUMBER = re.compile("[0-9]{1,18}").fullmatch  # of a step, as this file writes it
_logger = logging.getLogger("leo_tf")


class Monitor:
    """Write a run's metrics while it trains from `first_step`, after which rows of metrics.csv are dropped."""

    def __init__(self, folder: RunDirectory, work: Work, first_step: int, last_step: int) -> None:
        self._work, measured = work, work.measured
        validation = (measured.measure, "half_width", *measured.other_measures)
        columns = "step", *work.columns, "gradient_norm", "steps_per_second", *(f"validation_{n}" for n in validation)
        rows = _drop_rows_after(folder.metrics_file, first_step, columns)
        self._file = open(folder.metrics_file, "a", newline="", encoding="utf-8")  # noqa: SIM115, closed in close()
        self._rows = csv.DictWriter(self._file, columns, restval="")
        if self._file.tell() == 0:
            self._rows.writeheader()
        self._folder, self._events = folder, Events(folder, work, first_step)
        self._since = _since_validation(rows, first_step, work.columns)
        # A run that was killed between the validation of its first step and the row for it has no such row.
        self.has_validation = any(int(row["step"]) == first_step and row.get("validation_half_width") for row in rows)
        self._first, self._last, self._start = first_step, last_step, 0.0
        self._bar = tqdm(
            total=last_step, initial=first_step, unit="step", disable=not sys.stderr.isatty(), dynamic_ncols=True
        )
        self._shown: dict[str, str] = {}
        self._below, self._made = False, time.monotonic()
        if self._bar.disable:
            self._say("Compiling the first step; that takes from 10 seconds to a minute...")
        else:
            self._bar.set_postfix_str("compiling...")

    def steps(self, step: int, metrics: Mapping[str, Any], steps_per_second: float) -> None:
        """Record the means over the steps since the last call."""
        row = {name: metrics[name] for name in self._work.columns}
        norms = metrics["gradient_norms"]
        row |= {"gradient_norm": float((norms**2).sum() ** 0.5), "steps_per_second": steps_per_second}
        self._write_row(step, row)
        self._events.steps(step, row, norms)
        self._since.add(step, row)
        self._bar.update(step - self._bar.n)
        if not self._start:  # after compilation, which says nothing about the remaining time
            if self._bar.disable:
                self._say(f"Compiled, and at step {step} after {time.monotonic() - self._made:.0f} s.")
            self._first, self._start = step, time.monotonic()
        measure = self._work.measured.measure
        texts = {measure: self._work.measured.text(row[measure])} if measure in row else {}
        self._show(loss=f"{row['loss']:.3f}", **texts)
        if row["nan_steps"]:
            self._say(f"step {step}: a NaN loss or gradient in {100 * row['nan_steps']:.0f} % of the last steps.")

    def validation(self, step: int, found: Validation, best: float, best_step: int) -> None:
        """Record a Validation; log once when it falls below a baseline."""
        measure, text = self._work.measured.measure, self._work.measured.text
        values = {measure: found.interval.mean, "half_width": found.interval.half_width, **found.others}
        self._write_row(step, {f"validation_{name}": value for name, value in values.items()})
        self._events.validation(step, found, values, self._since.means())
        self._since = _Means(step)
        if self._bar.disable:
            baselines = ", ".join(f"{name} {text(value)}" for name, value in found.baselines.items())
            training = f"{self._training_text(step)}; " if step > self._first or self._shown else ""
            self._say(
                f"step {step} of {self._last}: {training}validation {measure} {text(*found.interval)}"
                f"{f' ({baselines})' if baselines else ''}; best {text(best)} at step {best_step}."
            )
        self._show(val=text(found.interval.mean), best=text(best))
        advice = step and self._work.measured.advice(found, step, best_step)  # nothing has been trained at step 0
        if advice and not self._below:
            self._say(advice)
        self._below = bool(advice)

    def finish(self, best: float, best_step: int) -> None:
        """Write the best validation at the end of training."""
        write_result(self._folder, BEST, self._work.measured.measure, best, best_step)

    def close(self) -> None:
        """Flush and close everything."""
        self._bar.close()
        self._file.close()
        self._events.close()

    def _training_text(self, step: int) -> str:
        """Return the last training metrics, the speed since the first row and the remaining time."""
        parts = [f"{name} {text}" for name, text in self._shown.items() if name not in ("val", "best")]
        done, seconds = step - self._first, time.monotonic() - self._start
        if done:
            parts += [f"{done / seconds:.1f} steps/s", f"{time_text(seconds / done * (self._last - step))} left"]
        return ", ".join(parts)

    def _show(self, **values: str) -> None:
        self._shown |= values
        self._bar.set_postfix(self._shown)

    def _say(self, text: str) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            _logger.info("%s", text)

    def _write_row(self, step: int, row: Mapping[str, float]) -> None:
        self._rows.writerow({"step": step, **{name: f"{value:.8g}" for name, value in row.items()}})
        self._file.flush()


class _Means:
    """Means of training metrics over the steps after `step`, from rows that cover unequal numbers of steps."""

    def __init__(self, step: int) -> None:
        self._first = self._last = step
        self._sums: dict[str, float] = {}

    def add(self, step: int, row: Mapping[str, float]) -> None:
        steps, self._last = step - self._last, step
        for name, value in row.items():
            self._sums[name] = self._sums.get(name, 0.0) + steps * value

    def means(self) -> dict[str, float]:
        return {name: total / (self._last - self._first) for name, total in self._sums.items()}


def _since_validation(rows: list[dict[str, str]], first_step: int, columns: Sequence[str]) -> _Means:
    """Return the _Means since the last validation among the rows; rows that are not numbers do not count."""
    validations = [number for number, row in enumerate(rows) if row.get("validation_half_width")]
    rows = rows[validations[-1] :] if validations else rows
    means = _Means(int(rows[0]["step"]) if validations else 0 if rows else first_step)
    for row in rows[1:] if validations else rows:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            means.add(int(row["step"]), {name: float(row[name]) for name in columns})
    return means


def _drop_rows_after(path: Path, step: int, columns: Sequence[str]) -> list[dict[str, str]]:
    """Keep the complete rows of a metrics file up to a step, and return them."""
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if _NUMBER(row["step"] or "") and None not in row.values()]
    except (UnicodeDecodeError, csv.Error, KeyError) as error:
        raise InputError(
            f"{path} is corrupt ({str(error)[:200]}); expected a table with a column 'step'. Move it away to resume "
            "without its rows."
        ) from None
    kept = [row for row in rows if int(row["step"]) <= step]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(kept)
    with replace_file(path) as output:
        output.write(text.getvalue().encode())
    return kept
