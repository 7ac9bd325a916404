"""The number that a search optimizes: a validation measure of the checkpoint that a trial keeps."""

from typing import Literal, NamedTuple

from leo_tf.errors import InputError
from leo_tf.runs.metrics import Progress


class Objective(NamedTuple):
    """Validation measure to search by."""

    name: str  # in the validations' numbers
    measure: str  # by which a run chooses its best checkpoint
    higher_is_better: bool

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        return "maximize" if self.higher_is_better else "minimize"

    def value(self, progress: Progress) -> float | None:
        """Return the objective at the best checkpoint of a run; None if no validation was a number."""
        best = progress.best(self.measure, self.higher_is_better)
        return best[1][self.name] if best else None

    def text(self, value: float) -> str:
        """Format a value of the objective."""
        return f"{100 * value:.2f} %" if self.name == "accuracy" else f"{value:.4f}"

    def measure_text(self, value: float) -> str:
        """Format a value of the measure."""
        return self._replace(name=self.measure).text(value)


_OBJECTIVES = {
    "classification": {"accuracy": Objective("accuracy", "accuracy", True)},
    "regression": {"mse": Objective("mse", "mse", False), "crps": Objective("crps", "mse", False)},
}


def get_objective(problem: str, name: str = "") -> Objective:
    """Return the objective of this name; the problem's own measure if the name is empty."""
    known = _OBJECTIVES[problem]
    if name and name not in known:
        expected = f"{' or '.join(known)} with problem={problem}"
        raise InputError(f"Got objective={name}; expected {expected}.", "objective")
    return known[name or next(iter(known))]
