"""Results of a classification evaluation, task by task."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import field
from typing import Any, ClassVar, Self

import numpy as np

from leo_tf.evaluation.comparison import Comparison, compare_paired
from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.evaluation.results import Result, stored


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationResult(Result):
    """Scores of a model on a set of tasks, and of baselines on the same tasks.

    Example:
      >>> table = leo_tf.EmbeddingTable.load("", "glyphs", "test")
      >>> result = leo_tf.evaluate(leo_tf.LEO(embedding_dim=table.dim, seed=0), table, num_tasks=4)
      >>> result.ways, result.num_tasks, 0 <= result.accuracy.mean <= 1
      (5, 4, True)
    """

    measure: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True
    what: ClassVar[str] = "the per-task results that evaluate.py writes"
    identity: ClassVar[tuple[str, ...]] = (
        *("data_digest", "ways", "shots", "queries", "num_tasks", "seed", "stream", "tasks_digest"),
    )

    task_accuracy: np.ndarray = field(repr=False, metadata=stored())
    task_loss: np.ndarray = field(repr=False, metadata=stored())  # nats
    baseline_names: np.ndarray = field(repr=False, metadata=stored("U", ("baselines",)))
    task_baselines: np.ndarray = field(repr=False, metadata=stored(axes=("baselines", "tasks")))  # accuracies
    ways: int
    shots: int
    queries: int
    seed: int
    stream: int
    data_digest: str  # of the table
    tasks_digest: str
    model_fingerprint: str
    algorithm: str  # the model's name
    seconds: float

    @classmethod
    def from_scores(cls, scores: Any, baselines: Sequence[Any], tasks: Any, **model: Any) -> Self:
        """Build a result from Scores of a model and its baselines; `model` has fingerprint, algorithm and seconds."""
        names = ("ways", "shots", "queries", "seed", "stream", "data_digest")
        return cls(
            task_accuracy=scores.accuracy,
            task_loss=scores.loss,
            baseline_names=np.array([each.title for each in baselines]),
            task_baselines=np.stack([each.accuracy for each in baselines]),
            **{name: getattr(tasks, name) for name in names},
            tasks_digest=tasks.digest,
            **model,
        )

    @property
    def num_tasks(self) -> int:
        return len(self.task_accuracy)

    @property
    def shots_evaluated(self) -> list[int]:
        return [self.shots]

    def task_scores(self, shots: int) -> np.ndarray:
        self.require_shots(shots)
        return self.task_accuracy

    @functools.cached_property
    def accuracy(self) -> Interval:
        return confidence_interval(self.task_accuracy)

    @functools.cached_property
    def baselines(self) -> dict[str, Interval]:
        """{name: Interval} of the accuracy of each baseline."""
        pairs = zip(self.baseline_names.tolist(), self.task_baselines, strict=True)
        return {name: confidence_interval(scores) for name, scores in pairs}

    @property
    def nearest_class_mean(self) -> Interval:
        """Interval of nearest class mean's accuracy."""
        return self.baselines["nearest class mean"]

    @property
    def best_baseline(self) -> str:
        """Name of the baseline with the highest accuracy."""
        return max(self.baselines, key=lambda name: self.baselines[name].mean)

    @functools.cached_property
    def difference_to_best_baseline(self) -> Comparison:
        """Paired Comparison of the model with the best baseline."""
        best = self.baseline_names.tolist().index(self.best_baseline)
        return compare_paired(self.task_accuracy, self.task_baselines[best])

    @functools.cached_property
    def loss(self) -> Interval:
        return confidence_interval(self.task_loss)

    def summary(self) -> dict[str, Any]:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if not f.metadata}
        difference = self.difference_to_best_baseline.difference
        intervals = {"accuracy": self.accuracy, "nearest_class_mean": self.nearest_class_mean, "loss": self.loss}
        return {
            **{name: interval._asdict() for name, interval in intervals.items()},
            "baselines": {name: interval._asdict() for name, interval in self.baselines.items()},
            "difference_to_best_baseline": {"name": self.best_baseline, **difference._asdict()},
            "num_tasks": self.num_tasks,
            **fields,
        }

    def __str__(self) -> str:
        width = max(map(len, self.baselines))
        difference = self.difference_to_best_baseline.difference
        return "\n".join(
            [
                f"{self.algorithm} {self.accuracy.percent()} ({self.ways}-way {self.shots}-shot, {self.queries} "
                f"queries per class, {self.num_tasks} tasks, 95 % confidence intervals)",
                *(f"  {name:<{width}}  {interval.percent()}" for name, interval in self.baselines.items()),
                f"{self.algorithm} minus {self.best_baseline}, the best baseline: {100 * difference.mean:+.2f} +- "
                f"{100 * difference.half_width:.2f} points, paired over tasks",
            ]
        )
