"""What a person sees of a run: metrics.csv, TensorBoard, a progress bar or quiet lines."""

import csv
import io
import logging
import re
import sys

import tensorflow as tf
from tqdm import tqdm

from leo_tf.errors import InputError
from leo_tf.evaluation import plots
from leo_tf.files import replace_file

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
        self._events = tf.summary.create_file_writer(str(folder.tensorboard))
        self._bar = tqdm(
            total=last_step, initial=first_step, unit="step", disable=not sys.stderr.isatty(), dynamic_ncols=True
        )
        self._shown = {}

    def steps(self, step, metrics, steps_per_second):
        """Record the means over the steps since the last call."""
        row = {name: metrics[name] for name in self._work.columns}
        norms = metrics["gradient_norms"]
        row |= {"gradient_norm": float((norms**2).sum() ** 0.5), "steps_per_second": steps_per_second}
        self._write_row(step, row)
        with self._events.as_default(step=step):
            for name, value in row.items():
                tf.summary.scalar(f"train/{name}", value)
            for name, norm in zip(self._work.variables, norms, strict=True):
                tf.summary.scalar(f"gradient_norm/{name}", norm)
            for name, rate in self._work.rates.items():
                tf.summary.scalar(f"learning_rate/{name}_mean", tf.reduce_mean(rate.value))
        self._bar.update(step - self._bar.n)
        self._show(loss=f"{row['loss']:.3f}")
        if row["nan_steps"]:
            _logger.warning(
                "step %d: a NaN loss or gradient in %.0f %% of the last steps.", step, 100 * row["nan_steps"]
            )

    def validation(self, step, found, best, best_step):
        """Record a Validation, the learned learning rates and histograms of all variables."""
        measure, text = self._work.measured.measure, self._work.measured.text
        values = {measure: found.interval.mean, "half_width": found.interval.half_width, **found.others}
        self._write_row(step, {f"validation_{name}": value for name, value in values.items()})
        with self._events.as_default(step=step):
            for name, value in {**values, f"best_{measure}": best}.items():
                tf.summary.scalar(f"validation/{name}", value)
            for name, figure in found.figures.items():
                plots.summarize(figure, f"validation/{name}")
            for name, variable in self._work.variables.items():
                tf.summary.histogram(f"variables/{name}", variable.value)
        self._events.flush()
        self._show(val=text(found.interval.mean), best=text(best))
        if self._bar.disable:
            texts = text(*found.interval), text(best)
            _logger.info("step %d: validation %s %s; best %s at step %d.", step, measure, *texts, best_step)

    def close(self):
        """Flush and close everything."""
        self._bar.close()
        self._file.close()
        self._events.close()

    def _show(self, **values):
        self._shown |= values
        self._bar.set_postfix(self._shown)

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
