"""What a person sees of a run: metrics.csv, TensorBoard, a progress bar or quiet lines."""

import csv
import io
import logging
import sys

import tensorflow as tf
from tqdm import tqdm

from leo_tf.atomic import replace_file

_logger = logging.getLogger("leo_tf")

_TERMS = ("loss", "query_loss", "accuracy", "kl", "encoder_penalty", "regularization", "nan_steps")
_COLUMNS = ("step", *_TERMS, "gradient_norm", "steps_per_second", "validation_accuracy", "validation_half_width")


class Monitor:
    """Write a run's metrics as it goes.

    Args:
      folder: RunFolder.
      model: the model, for learning rates and histograms.
      first_step: where the run continues; rows of metrics.csv past it are dropped, to be written again.
      last_step: where it ends.
    """

    def __init__(self, folder, model, first_step, last_step):
        self._model, self._names = model, [v.path.removeprefix(f"{model.name}/") for v in model.meta_variables]
        _drop_rows_after(folder.metrics_file, first_step)
        self._file = open(folder.metrics_file, "a", newline="", encoding="utf-8")  # noqa: SIM115, closed in close()
        self._rows = csv.DictWriter(self._file, _COLUMNS, restval="")
        if self._file.tell() == 0:
            self._rows.writeheader()
        self._events = tf.summary.create_file_writer(str(folder.tensorboard))
        self._bar = tqdm(
            total=last_step, initial=first_step, unit="step", disable=not sys.stderr.isatty(), dynamic_ncols=True
        )
        self._shown = {}

    def steps(self, step, metrics, steps_per_second):
        """Record the means over the steps since the last call."""
        row = {name: float(metrics[name]) for name in _TERMS}
        norms = metrics["gradient_norms"].numpy()
        row |= {"gradient_norm": float((norms**2).sum() ** 0.5), "steps_per_second": steps_per_second}
        self._write_row(step, row)
        with self._events.as_default(step=step):
            for name, value in row.items():
                tf.summary.scalar(f"train/{name}", value)
            for name, norm in zip(self._names, norms, strict=True):
                tf.summary.scalar(f"gradient_norm/{name}", norm)
            for rate in self._model.learning_rates:
                tf.summary.scalar(f"learning_rate/{rate.name}_mean", tf.reduce_mean(rate.value))
        self._bar.update(step - self._bar.n)
        self._show(loss=f"{row['loss']:.3f}")
        if row["nan_steps"]:
            _logger.warning(
                "step %d: a NaN loss or gradient in %.0f %% of the last steps.", step, 100 * row["nan_steps"]
            )

    def validation(self, step, interval, best_accuracy, best_step):
        """Record a validation, the learned learning rates and histograms of all variables."""
        self._write_row(step, {"validation_accuracy": interval.mean, "validation_half_width": interval.half_width})
        with self._events.as_default(step=step):
            tf.summary.scalar("validation/accuracy", interval.mean)
            tf.summary.scalar("validation/best_accuracy", best_accuracy)
            for name, variable in zip(self._names, self._model.meta_variables, strict=True):
                tf.summary.histogram(f"variables/{name}", variable.value)
        self._events.flush()
        self._show(val=f"{100 * interval.mean:.2f}%", best=f"{100 * best_accuracy:.2f}%")
        if self._bar.disable:
            _logger.info(
                "step %d: validation %s; best %.2f %% at step %d.",
                *(step, interval.percent(), 100 * best_accuracy, best_step),
            )

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


def _drop_rows_after(path, step):
    """Keep the rows of a metrics file up to a step; a row cut short by a kill goes too."""
    if not path.exists():
        return
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if (row["step"] or "").isdigit() and None not in row.values()]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(row for row in rows if int(row["step"]) <= step)
    with replace_file(path) as output:
        output.write(text.getvalue().encode())
