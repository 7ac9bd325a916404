"""What a person sees of a run: metrics.csv, TensorBoard, a progress bar or quiet lines."""

import csv
import io
import logging
import re
import sys
import time

from tqdm import tqdm

from leo_tf.errors import InputError
from leo_tf.evaluation.progress import time_text
from leo_tf.files import replace_file
from leo_tf.training.events import Events

_NUMBER = re.compile("[0-9]{1,18}").fullmatch  # of a step, as this file writes it
_logger = logging.getLogger("leo_tf")


class Monitor:
    """Write a run's metrics as it goes.

    Args:
      folder: RunFolder.
      work: what is trained, as for Trainer.
      first_step: where the run continues; rows of metrics.csv past it are dropped, to be written again.
      last_step: where it ends.
    """

    def __init__(self, folder, work, first_step, last_step):
        self._work, measured = work, work.measured
        validation = (measured.measure, "half_width", *measured.other_measures)
        columns = "step", *work.columns, "gradient_norm", "steps_per_second", *(f"validation_{n}" for n in validation)
        _drop_rows_after(folder.metrics_file, first_step, columns)
        self._file = open(folder.metrics_file, "a", newline="", encoding="utf-8")  # noqa: SIM115, closed in close()
        self._rows = csv.DictWriter(self._file, columns, restval="")
        if self._file.tell() == 0:
            self._rows.writeheader()
        self._events = Events(folder, work, first_step)
        self._first, self._last, self._start = first_step, last_step, 0.0
        self._bar = tqdm(
            total=last_step, initial=first_step, unit="step", disable=not sys.stderr.isatty(), dynamic_ncols=True
        )
        self._shown, self._below = {}, False
        self._say("Compiling the first step...") if self._bar.disable else self._bar.set_postfix_str("compiling...")

    def steps(self, step, metrics, steps_per_second):
        """Record the means over the steps since the last call."""
        row = {name: metrics[name] for name in self._work.columns}
        norms = metrics["gradient_norms"]
        row |= {"gradient_norm": float((norms**2).sum() ** 0.5), "steps_per_second": steps_per_second}
        self._write_row(step, row)
        self._events.steps(step, row, norms)
        self._bar.update(step - self._bar.n)
        if not self._start:  # after compilation, which says nothing of the time left
            self._first, self._start = step, time.monotonic()
        texts = {"loss": f"{row['loss']:.3f}"}
        if self._work.measured.measure in row:
            measure = self._work.measured.measure
            texts[measure] = self._work.measured.text(row[measure])
        self._show(**texts)
        if row["nan_steps"]:
            self._say(f"step {step}: a NaN loss or gradient in {100 * row['nan_steps']:.0f} % of the last steps.")

    def validation(self, step, found, best, best_step):
        """Record a Validation; say once when it falls below a yardstick."""
        measure, text = self._work.measured.measure, self._work.measured.text
        values = {measure: found.interval.mean, "half_width": found.interval.half_width, **found.others}
        self._write_row(step, {f"validation_{name}": value for name, value in values.items()})
        self._events.validation(step, found, values)
        if self._bar.disable:
            yardsticks = ", ".join(f"{name} {text(value)}" for name, value in found.yardsticks.items())
            self._say(
                f"step {step} of {self._last}: {self._training_text(step)}; validation {measure} "
                f"{text(*found.interval)}{f' ({yardsticks})' if yardsticks else ''}; best {text(best)} at step "
                f"{best_step}."
            )
        self._show(val=text(found.interval.mean), best=text(best))
        advice = self._work.measured.advice(found, step, best_step)
        if advice and not self._below:
            self._say(advice)
        self._below = bool(advice)

    def close(self):
        """Flush and close everything."""
        self._bar.close()
        self._file.close()
        self._events.close()

    def _training_text(self, step):
        """Return the last training metrics, the speed since the first row and the time left."""
        parts = [f"{name} {text}" for name, text in self._shown.items() if name not in ("val", "best")]
        done, seconds = step - self._first, time.monotonic() - self._start
        if done:
            parts += [f"{done / seconds:.1f} steps/s", f"{time_text(seconds / done * (self._last - step))} left"]
        return ", ".join(parts)

    def _show(self, **values):
        self._shown |= values
        self._bar.set_postfix(self._shown)

    def _say(self, text):
        with tqdm.external_write_mode(file=sys.stderr):
            _logger.info("%s", text)

    def _write_row(self, step, row):
        self._rows.writerow({"step": step, **{name: f"{value:.8g}" for name, value in row.items()}})
        self._file.flush()


def _drop_rows_after(path, step, columns):
    """Keep the rows of a metrics file up to a step; a row cut short by a kill goes too.

    Raises:
      InputError: the file is no metrics file of ours.
    """
    if not path.exists():
        return
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if _NUMBER(row["step"] or "") and None not in row.values()]
    except (UnicodeDecodeError, csv.Error, KeyError) as error:
        raise InputError(
            f"{path} is damaged ({str(error)[:200]}); expected a table with a column 'step'. Move it away to go on "
            "without its rows."
        ) from None
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(row for row in rows if int(row["step"]) <= step)
    with replace_file(path) as output:
        output.write(text.getvalue().encode())
