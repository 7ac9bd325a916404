"""Progress of a run, from its metrics.csv: quick, and without TensorFlow."""

import csv
import math
from pathlib import Path
from typing import NamedTuple

from leo_tf.errors import InputError
from leo_tf.runs.run_dir import RunDirectory

_VALIDATION = "validation_"


class Progress(NamedTuple):
    """Progress of a run."""

    step: int = 0
    last_step: int | None = None  # its step limit
    validations: tuple[tuple[int, dict[str, float]], ...] = ()  # (step, {measure: value}), NaN among them

    def best(self, measure: str, higher_is_better: bool) -> tuple[int, dict[str, float]] | None:
        """Return (step, {measure: value}) of the best validation so far; None if there is none."""
        found = [each for each in self.validations if not math.isnan(each[1][measure])]
        choose = max if higher_is_better else min  # the first of equals, as in training
        return choose(found, key=lambda each: each[1][measure], default=None)


def progress_of(path: str | Path) -> Progress:
    """Return the Progress of the run in a directory, which need not exist yet; an incomplete last row is ignored."""
    folder = RunDirectory(path)
    try:
        last_step = folder.config().training.num_steps_limit
        with open(folder.metrics_file, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(line for line in file if line.endswith("\n")))
        validations = [(int(row["step"]), _validation(row)) for row in rows]
    except (InputError, OSError):
        return Progress()
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:  # of a row too long the key is None
        raise InputError(
            f"{folder.metrics_file} is corrupt ({str(error)[:200]}); expected the metrics of a run."
        ) from None
    step = validations[-1][0] if validations else 0
    return Progress(step, last_step, tuple(each for each in validations if each[1]))


def _validation(row: dict[str, str]) -> dict[str, float]:
    found = {name: value for name, value in row.items() if name.startswith(_VALIDATION) and value}
    return {name.removeprefix(_VALIDATION): float(value) for name, value in found.items()}
