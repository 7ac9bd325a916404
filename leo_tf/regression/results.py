"""What a regression evaluation found, task by task and by number of shots."""

import dataclasses

import numpy as np

from leo_tf.errors import InputError
from leo_tf.evaluation.comparison import Comparison, SeedSummary, compare_paired
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.files import npz
from leo_tf.regression import scoring

FAMILIES = ("all", "sinusoid", "line")
_WHAT = "the per-task results of a regression run that evaluate.py writes"


@dataclasses.dataclass(frozen=True, eq=False)
class RegressionResult:
    """Scores of sampled functions against the true ones without noise, on fixed tasks."""

    shots: np.ndarray  # [shots] int
    task_squared_error: np.ndarray = dataclasses.field(repr=False)  # [shots, tasks], of the mean of the samples
    task_single_error: np.ndarray = dataclasses.field(repr=False)  # [shots, tasks], squared, of one sample
    task_crps: np.ndarray = dataclasses.field(repr=False)  # [shots, tasks]
    task_coverage: np.ndarray = dataclasses.field(repr=False)  # [shots, levels, tasks]; NaN of a single function
    is_sinusoid: np.ndarray = dataclasses.field(repr=False)  # [tasks] bool
    num_samples: int
    tasks: str  # the tasks' digest
    model: str  # the model's fingerprint
    algorithm: str  # the model's name
    seconds: float

    @property
    def num_tasks(self):
        return len(self.is_sinusoid)

    def of_family(self, values, family):
        """Return the columns of `values` [..., tasks] that belong to a family: all, sinusoid or line."""
        return values if family == "all" else values[..., self.is_sinusoid == (family == "sinusoid")]

    def row(self, shots):
        """Return where a number of shots is in the arrays.

        Raises:
          InputError: it was not evaluated.
        """
        if shots not in self.shots:
            raise InputError(f"{shots} shots were not evaluated; expected one of {self.shots.tolist()}.")
        return int(np.flatnonzero(self.shots == shots)[0])

    def mse(self, shots, family="all"):
        """Return the Interval of the mean squared error over tasks."""
        return confidence_interval(self.of_family(self.task_squared_error[self.row(shots)], family))

    def crps(self, shots):
        """Return the Interval of the continuous ranked probability score over tasks."""
        return confidence_interval(self.task_crps[self.row(shots)])

    def coverage(self, shots):
        """Return for each of `scoring.LEVELS` the Interval of the fraction covered; {} for a single function."""
        covered = self.task_coverage[self.row(shots)]
        if np.isnan(covered).all():
            return {}
        return dict(zip(scoring.LEVELS, map(confidence_interval, covered), strict=True))

    def summary(self):
        """Return a plain dict of everything but the per-task results, for JSON."""
        by_shots = {}
        for shots in self.shots.tolist():
            by_shots[str(shots)] = {
                "mse": {family: self.mse(shots, family)._asdict() for family in FAMILIES},
                "single_sample_mse": confidence_interval(self.task_single_error[self.row(shots)])._asdict(),
                "crps": self.crps(shots)._asdict(),
                "coverage": {str(level): i._asdict() for level, i in self.coverage(shots).items()},
            }
        about = ("algorithm", "num_tasks", "num_samples", "tasks", "model", "seconds")
        return {**{name: getattr(self, name) for name in about}, "shots": by_shots}

    def save(self, path):
        """Write an npz file that `load` reads.

        Raises:
          InputError: the file cannot be written.
        """
        npz.write(path, **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)})

    @classmethod
    def load(cls, path):
        """Read a result that `save` wrote.

        Raises:
          InputError: the file is missing or damaged, or something else.
        """
        arrays = {"shots": ("iu", 1), "is_sinusoid": ("b", 1), "task_coverage": ("f", 3)}
        arrays |= {name: ("f", 2) for name in ("task_squared_error", "task_single_error", "task_crps")}
        texts = {name: ("U", 0) for name in ("tasks", "model", "algorithm")}
        return cls(**npz.read(path, _WHAT, **arrays, **texts, num_samples=("iu", 0), seconds=("f", 0)))

    def __str__(self):
        cells = [f"{f'{shots} shot':>8} {_row(self, shots)}" for shots in self.shots.tolist()]
        head = (
            f"{'':>8} {'mse':>18} {'sinusoids':>18} {'lines':>18} {'one sample':>10} {'crps':>7}  90 % interval covers"
        )
        return "\n".join([f"{self.algorithm}, {self.num_tasks} tasks, {self.num_samples} samples a task", head, *cells])


def _row(result, shots):
    errors = [f"{i.mean:9.4f} +- {i.half_width:.4f}" for i in (result.mse(shots, family) for family in FAMILIES)]
    covered = result.coverage(shots).get(0.9)
    single = result.task_single_error[result.row(shots)].mean()
    columns = [*(f"{error:>18}" for error in errors), f"{single:10.4f}", f"{result.crps(shots).mean:7.4f}"]
    return f"{' '.join(columns)}  {f'{100 * covered.mean:.1f} %' if covered else '-'}"


def compare(first, second, shots) -> Comparison:
    """Compare the squared errors of two results at a number of shots, paired over the same tasks.

    A win is a smaller error. The difference is the first's less the second's.

    Raises:
      InputError: the results are of different tasks, or without this number of shots.
    """
    require_comparable(first.tasks, first.num_tasks, [shots], second)
    reverse = compare_paired(second.task_squared_error[second.row(shots)], first.task_squared_error[first.row(shots)])
    return dataclasses.replace(reverse, difference=reverse.difference._replace(mean=0.0 - reverse.difference.mean))


def mse_over_seeds(results):
    """Summarise runs that differ in the training seed alone.

    Args:
      results: a RegressionResult for each run, at least 2, of the same tasks and shots.

    Returns:
      {shots: SeedSummary of the mean squared error}.

    Raises:
      InputError: the results are of different tasks, or without one of the first's numbers of shots.
    """
    first = results[0]
    for other in results[1:]:
        require_comparable(first.tasks, first.num_tasks, first.shots.tolist(), other)
    found = {}
    for shots in first.shots.tolist():
        means = np.array([result.mse(shots).mean for result in results])
        found[shots] = SeedSummary(float(means.mean()), float(means.std(ddof=1)), len(means))
    return found


def require_comparable(digest, num_tasks, shots, result):
    """Raise InputError unless a RegressionResult is of the tasks with this digest and has these numbers of shots."""
    if result.tasks != digest:
        raise InputError(
            f"The results are of different tasks: {num_tasks} with digest {digest[:12]}... and {result.num_tasks} with "
            f"{result.tasks[:12]}.... Evaluate both with the same flags."
        )
    for number in shots:
        result.row(number)
