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
    """What a model scored on a set of tasks, beside baselines on the very same ones.

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
    def baselines(self):
        """{name: Interval} of the accuracy of each baseline."""
        pairs = zip(self.baseline_names.tolist(), self.task_baselines, strict=True)
        return {name: confidence_interval(scores) for name, scores in pairs}

    @property
    def nearest_class_mean(self):
        """Interval of nearest class mean's accuracy."""
        return self.baselines[_NEAREST]

    @property
    def best_baseline(self):
        """The name of the baseline of highest accuracy."""
        return max(self.baselines, key=lambda name: self.baselines[name].mean)

    @functools.cached_property
    def less_best_baseline(self):
        """Paired Comparison of the model with the best baseline."""
        best = self.baseline_names.tolist().index(self.best_baseline)
        return compare_paired(self.task_accuracy, self.task_baselines[best])

    @functools.cached_property
    def loss(self):
        """Interval of the loss, nats."""
        return confidence_interval(self.task_loss)

    def summary(self):
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if not f.metadata}
        intervals = {"accuracy": self.accuracy, "nearest_class_mean": self.nearest_class_mean, "loss": self.loss}
        return {
            **{name: interval._asdict() for name, interval in intervals.items()},
            "baselines": {name: interval._asdict() for name, interval in self.baselines.items()},
            "best_baseline": self.best_baseline,
            "less_best_baseline": self.less_best_baseline.summary(),
            "num_tasks": self.num_tasks,
            **fields,
        }

    def __str__(self):
        width = max(map(len, self.baselines))
        difference = self.less_best_baseline.difference
        return "\n".join(
            [
                f"{self.algorithm} {self.accuracy.percent()} ({self.ways}-way {self.shots}-shot, {self.queries} "
                f"queries a class, {self.num_tasks} tasks, 95 % confidence intervals)",
                *(f"  {name:<{width}}  {interval.percent()}" for name, interval in self.baselines.items()),
                f"{self.algorithm} less {self.best_baseline}, the best of these: {100 * difference.mean:+.2f} +- "
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
    """Return what a file holds that has each baseline in a field of its own, or None."""
    fields = {name: how for name, how in kind.kinds().items() if name not in ("baseline_names", "task_baselines")}
    for names in (_OLDER, _OLDER[:1]):
        try:
            found = npz.read(path, kind.what, **fields, **{field: ("f", 1) for field, _ in names})
        except InputError:
            continue
        scores = {name: found.pop(field) for field, name in names}
        scores = {name: each for name, each in scores.items() if each.size}
        tasks = found["task_accuracy"].size
        if any(each.size != tasks for each in scores.values()):
            raise npz.damaged(path, "its baselines are of other numbers of tasks", kind.what)
        rows = np.array(list(scores.values())).reshape(len(scores), tasks)
        return kind.of_fields(path, found | {"baseline_names": np.array(list(scores)), "task_baselines": rows})
    return None
