"""Results of a regression evaluation, by number of shots and task by task."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any, ClassVar

import numpy as np

from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.evaluation.progress import Progress
from leo_tf.evaluation.results import Result, stored
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.regression.metrics import LEVELS, FunctionScores, score
from leo_tf.regression.tasks import RegressionTasks

FAMILIES = ("all", "sinusoid", "line")


@dataclasses.dataclass(frozen=True, eq=False)
class RegressionResult(Result):
    """Scores of sampled functions against the true ones without noise, on fixed tasks."""

    measure: ClassVar[str] = "mse"
    higher_is_better: ClassVar[bool] = False
    what: ClassVar[str] = "the per-task results of a regression run that evaluate.py writes"
    identity: ClassVar[tuple[str, ...]] = ("num_tasks", "tasks_digest")

    shots: np.ndarray = field(repr=False, metadata=stored("iu", ("shots",)))
    task_squared_error: np.ndarray = field(repr=False, metadata=stored("f", ("shots", "tasks")))  # of their mean
    task_single_error: np.ndarray = field(repr=False, metadata=stored("f", ("shots", "tasks")))  # of one sample
    task_crps: np.ndarray = field(repr=False, metadata=stored("f", ("shots", "tasks")))
    task_coverage: np.ndarray = field(repr=False, metadata=stored("f", ("shots", len(LEVELS), "tasks")))  # NaN of one
    is_sinusoid: np.ndarray = field(repr=False, metadata=stored("b", ("tasks",)))
    num_samples: int
    tasks_digest: str
    model_fingerprint: str
    algorithm: str  # the model's name
    seconds: float

    @property
    def num_tasks(self) -> int:
        return len(self.is_sinusoid)

    @property
    def shots_evaluated(self) -> list[int]:
        return self.shots.tolist()

    def task_scores(self, shots: int) -> np.ndarray:
        return self.task_squared_error[self.row(shots)]

    def row(self, shots: int) -> int:
        """Return the row of a number of shots in the arrays; raises as `task_scores`."""
        self.require_shots(shots)
        return self.shots_evaluated.index(shots)

    def mse(self, shots: int, family: str = "all") -> Interval:
        """Return the Interval of the mean squared error over tasks of a family, of FAMILIES."""
        errors = self.task_scores(shots)
        return confidence_interval(errors if family == "all" else errors[self.is_sinusoid == (family == "sinusoid")])

    def crps(self, shots: int) -> Interval:
        """Return the Interval of the continuous ranked probability score over tasks."""
        return confidence_interval(self.task_crps[self.row(shots)])

    def coverage(self, shots: int) -> dict[float, Interval]:
        """Return {level: Interval of the fraction covered} for `LEVELS`; {} for a single function."""
        covered = self.task_coverage[self.row(shots)]
        if np.isnan(covered).all():
            return {}
        return dict(zip(LEVELS, map(confidence_interval, covered), strict=True))

    def summary(self) -> dict[str, Any]:
        by_shots = {
            str(shots): {
                "mse": {family: self.mse(shots, family)._asdict() for family in FAMILIES},
                "single_sample_mse": confidence_interval(self.task_single_error[self.row(shots)])._asdict(),
                "crps": self.crps(shots)._asdict(),
                "coverage": {str(level): i._asdict() for level, i in self.coverage(shots).items()},
            }
            for shots in self.shots_evaluated
        }
        about = ("algorithm", "num_tasks", "num_samples", "tasks_digest", "model_fingerprint", "seconds")
        return {**{name: getattr(self, name) for name in about}, "shots": by_shots}

    def __str__(self) -> str:
        cells = [f"{f'{shots} shot':>8} {_row(self, shots)}" for shots in self.shots.tolist()]
        head = (
            f"{'':>8} {'mse':>18} {'sinusoids':>18} {'lines':>18} {'one sample':>10} {'crps':>7}  90 % interval covers"
        )
        title = f"{self.algorithm}, {self.num_tasks} tasks, {self.num_samples} samples per task"
        return "\n".join([title, head, *cells])


def _row(result: RegressionResult, shots: int) -> str:
    errors = [f"{i.mean:9.4f} +- {i.half_width:.4f}" for i in (result.mse(shots, family) for family in FAMILIES)]
    covered = result.coverage(shots).get(0.9)
    single = result.task_single_error[result.row(shots)].mean()
    columns = [*(f"{error:>18}" for error in errors), f"{single:10.4f}", f"{result.crps(shots).mean:7.4f}"]
    return f"{' '.join(columns)}  {f'{100 * covered.mean:.1f} %' if covered else '-'}"


def score_functions(
    functions: Callable,
    tasks: RegressionTasks,
    shots: Sequence[int],
    algorithm: str,
    model_fingerprint: str = "",
    workers: Any = SINGLE_PROCESS,
    batch_size: int = 1,
) -> RegressionResult:
    """Score sampled functions at several numbers of shots.

    functions: function (support_x [tasks, shots, 1], support_y [tasks, shots, 1], number of the first task) ->
      (exact mean [tasks, points] or None, samples [samples, tasks, points]).
    workers: Collectives that the tasks are spread over, in batches of `batch_size`; all of its workers call this.
    """
    start = time.perf_counter()
    found: list[FunctionScores] = []
    counts: set[int] = set()

    def scores(number: int, some: np.ndarray) -> FunctionScores:
        (support_x, support_y), truth = tasks.support(number), tasks.truth[some]
        mean, samples = functions(support_x[some], support_y[some], int(some[0]))
        counts.add(len(samples))
        scored = score(samples, truth)
        if mean is None:
            return scored
        return scored._replace(squared_error=np.mean((mean - truth) ** 2, axis=1))  # the samples' mean is not exact

    with Progress(f"evaluating {algorithm}", len(shots), "numbers of shots") as progress:
        for number in shots:
            found.append(workers.map_tasks(functools.partial(scores, number), len(tasks), batch_size))
            progress.add()
    (count,) = counts
    squared, single, crps, covered = (np.stack(column) for column in zip(*found, strict=True))
    return RegressionResult(
        shots=np.array(shots),
        task_squared_error=squared,
        task_single_error=single,
        task_crps=crps,
        task_coverage=covered,
        is_sinusoid=tasks.is_sinusoid,
        num_samples=count,
        tasks_digest=tasks.digest,
        model_fingerprint=model_fingerprint,
        algorithm=algorithm,
        seconds=time.perf_counter() - start,
    )
