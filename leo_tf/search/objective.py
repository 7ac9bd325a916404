"""What a trial is judged by: a number of the validation of the checkpoint that it keeps."""

from typing import NamedTuple

from leo_tf.errors import InputError


class Objective(NamedTuple):
    """A number to search by."""

    name: str  # of the validations' numbers
    measure: str  # by which a run chooses its best checkpoint
    higher_is_better: bool

    @property
    def direction(self):
        """Optuna's word."""
        return "maximize" if self.higher_is_better else "minimize"

    def value(self, progress):
        """Return the number at the best checkpoint of a run, float; None where no validation was a number."""
        best = progress.best(self.measure, self.higher_is_better)
        return best[1][self.name] if best else None

    def text(self, value):
        """Write the number."""
        return f"{100 * value:.2f} %" if self.name == "accuracy" else f"{value:.4f}"


_OBJECTIVES = {
    "classification": {"accuracy": Objective("accuracy", "accuracy", True)},
    "regression": {"mse": Objective("mse", "mse", False), "crps": Objective("crps", "mse", False)},
}


def objective_of(problem, name=""):
    """Return the Objective of this name; the problem's measure where it is empty.

    Raises:
      InputError: the problem has none of this name.
    """
    known = _OBJECTIVES[problem]
    if name and name not in known:
        raise InputError(f"Got objective={name}; expected {' or '.join(known)} with problem={problem}.")
    return known[name or next(iter(known))]
