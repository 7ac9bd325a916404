"""What a classification evaluation found, task by task."""

import dataclasses
import functools
from dataclasses import field
from typing import ClassVar

import numpy as np

from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.evaluation.results import Result, stored


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationResult(Result):
    """What a model scored on a set of tasks, beside nearest class mean on the very same ones.

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

    task_accuracy: np.ndarray = field(repr=False, metadata=stored())  # [tasks]
    task_loss: np.ndarray = field(repr=False, metadata=stored())  # [tasks], nats
    task_nearest_class_mean: np.ndarray = field(repr=False, metadata=stored())  # [tasks]
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
    # [tasks], nearest class mean on embeddings as the model transforms them; empty where it does not
    task_transformed_mean: np.ndarray = field(
        repr=False, metadata=stored(), default_factory=lambda: np.zeros(0, np.float32)
    )

    @property
    def num_tasks(self):
        return len(self.task_accuracy)

    @property
    def shots_evaluated(self):
        return [self.shots]

    def task_scores(self, shots):
        """Return the accuracies [tasks]; raises InputError for other shots."""
        self.require_shots(shots)
        return self.task_accuracy

    @functools.cached_property
    def accuracy(self):
        """Interval of the accuracy over tasks."""
        return confidence_interval(self.task_accuracy)

    @functools.cached_property
    def nearest_class_mean(self):
        """Interval of nearest class mean's accuracy."""
        return confidence_interval(self.task_nearest_class_mean)

    @functools.cached_property
    def yardsticks(self):
        """{name: Interval} of what the model is to be better than."""
        found = {"nearest class mean": self.nearest_class_mean}
        if self.task_transformed_mean.size:
            found["nearest class mean, transformed"] = confidence_interval(self.task_transformed_mean)
        return found

    @functools.cached_property
    def loss(self):
        """Interval of the loss, nats."""
        return confidence_interval(self.task_loss)

    def summary(self):
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if not f.metadata}
        intervals = {"accuracy": self.accuracy, "nearest_class_mean": self.nearest_class_mean, "loss": self.loss}
        if self.task_transformed_mean.size:
            intervals["transformed_nearest_class_mean"] = self.yardsticks["nearest class mean, transformed"]
        return {**{n: i._asdict() for n, i in intervals.items()}, "num_tasks": self.num_tasks, **fields}

    def __str__(self):
        beside = ", ".join(f"{name} {interval.percent()}" for name, interval in self.yardsticks.items())
        return (
            f"{self.algorithm} {self.accuracy.percent()}, {beside} "
            f"({self.ways}-way {self.shots}-shot, {self.queries} queries a class, {self.num_tasks} tasks, "
            "95 % confidence intervals)"
        )
