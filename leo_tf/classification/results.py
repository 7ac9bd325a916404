"""What a classification evaluation found, task by task."""

import dataclasses
import functools
from dataclasses import field
from typing import ClassVar

import numpy as np

from leo_tf.errors import InputError
from leo_tf.evaluation.comparison import compare_paired
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.evaluation.results import Result, stored
from leo_tf.files import npz

_NEAREST = "nearest class mean"
_OLDER = (("task_nearest_class_mean", _NEAREST), ("task_transformed_mean", f"{_NEAREST}, transformed"))


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationResult(Result):
    """What a model scored on a set of tasks, beside yardsticks on the very same ones.

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
    yardstick_names: np.ndarray = field(repr=False, metadata=stored("U", ("yardsticks",)))
    task_yardsticks: np.ndarray = field(repr=False, metadata=stored(axes=("yardsticks", "tasks")))  # accuracies
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
    def yardsticks(self):
        """{name: Interval} of the accuracy of each yardstick."""
        pairs = zip(self.yardstick_names.tolist(), self.task_yardsticks, strict=True)
        return {name: confidence_interval(scores) for name, scores in pairs}

    @property
    def nearest_class_mean(self):
        """Interval of nearest class mean's accuracy."""
        return self.yardsticks[_NEAREST]

    @property
    def best_yardstick(self):
        """The name of the yardstick of highest accuracy."""
        return max(self.yardsticks, key=lambda name: self.yardsticks[name].mean)

    @functools.cached_property
    def less_best_yardstick(self):
        """Paired Comparison of the model with the best yardstick."""
        best = self.yardstick_names.tolist().index(self.best_yardstick)
        return compare_paired(self.task_accuracy, self.task_yardsticks[best])

    @functools.cached_property
    def loss(self):
        """Interval of the loss, nats."""
        return confidence_interval(self.task_loss)

    def summary(self):
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if not f.metadata}
        intervals = {"accuracy": self.accuracy, "nearest_class_mean": self.nearest_class_mean, "loss": self.loss}
        return {
            **{name: interval._asdict() for name, interval in intervals.items()},
            "yardsticks": {name: interval._asdict() for name, interval in self.yardsticks.items()},
            "best_yardstick": self.best_yardstick,
            "less_best_yardstick": self.less_best_yardstick.summary(),
            "num_tasks": self.num_tasks,
            **fields,
        }

    def __str__(self):
        width = max(map(len, self.yardsticks))
        difference = self.less_best_yardstick.difference
        return "\n".join(
            [
                f"{self.algorithm} {self.accuracy.percent()} ({self.ways}-way {self.shots}-shot, {self.queries} "
                f"queries a class, {self.num_tasks} tasks, 95 % confidence intervals)",
                *(f"  {name:<{width}}  {interval.percent()}" for name, interval in self.yardsticks.items()),
                f"{self.algorithm} less {self.best_yardstick}, the best of these: {100 * difference.mean:+.2f} +- "
                f"{100 * difference.half_width:.2f} points, paired over the tasks",
            ]
        )

    @classmethod
    def load(cls, path):
        try:
            return super().load(path)
        except InputError:
            older = _load_older(cls, path)
            if older is None:
                raise
            return older


def _load_older(kind, path):
    """Return what a file holds that has each yardstick in a field of its own, or None."""
    fields = {name: how for name, how in kind.kinds().items() if name not in ("yardstick_names", "task_yardsticks")}
    for names in (_OLDER, _OLDER[:1]):
        try:
            found = npz.read(path, kind.what, **fields, **{field: ("f", 1) for field, _ in names})
        except InputError:
            continue
        scores = {name: found.pop(field) for field, name in names}
        scores = {name: each for name, each in scores.items() if each.size}
        tasks = found["task_accuracy"].size
        if any(each.size != tasks for each in scores.values()):
            raise npz.damaged(path, "its yardsticks are of other numbers of tasks", kind.what)
        rows = np.array(list(scores.values())).reshape(len(scores), tasks)
        return kind.of_fields(path, found | {"yardstick_names": np.array(list(scores)), "task_yardsticks": rows})
    return None
