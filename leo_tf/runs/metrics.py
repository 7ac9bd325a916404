"""How far a run is, from its metrics.csv: quick, and without TensorFlow."""

import csv
import math
from typing import NamedTuple

from leo_tf.errors import InputError
from leo_tf.runs.run_dir import RunDirectory

_VALIDATION = "validation_"


class Progress(NamedTuple):
    """How far a run is."""

    step: int = 0
    last_step: int | None = None  # where it ends
    validations: tuple[tuple[int, dict[str, float]], ...] = ()  # (step, {measure: value}), NaN among them

    def best(self, measure, higher_is_better):
        """Return (step, {measure: value}) of the validation with the best number so far; None before there is one."""
        found = [each for each in self.validations if not math.isnan(each[1][measure])]
        choose = max if higher_is_better else min
        return (
            choose(found, key=lambda each: each[1][measure]) if found else None
        )  # the first of equals, as in training


def progress_of(path):
    """Return the Progress of the run in a folder, which need not be there yet; the last row may just be being written.

    Raises:
      InputError: the metrics are damaged.
    """
    folder = RunDirectory(path)
    try:
        last_step = folder.config().training.num_steps_limit
        with open(folder.metrics_file, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(line for line in file if line.endswith("\n")))
        validations = [(int(row["step"]), _validation(row)) for row in rows]
        step = int(rows[-1]["step"]) if rows else 0
    except (InputError, OSError):
        return Progress()
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:  # of a row too long the key is None
        raise InputError(
            f"{folder.metrics_file} is damaged ({str(error)[:200]}); expected the metrics of a run."
        ) from None
    return Progress(step, last_step, tuple((step, found) for step, found in validations if found))


def _validation(row):
    return {
        name.removeprefix(_VALIDATION): float(value)
        for name, value in row.items()
        if name.startswith(_VALIDATION) and value
    }
