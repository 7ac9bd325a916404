"""What an evaluation found, task by task, and on which tasks; saved beside its summary so that it can be compared."""

import dataclasses
import functools
from typing import Any

import numpy as np

from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.files import npz

_WHAT = "the per-task results that evaluate.py writes"
_KINDS: dict[Any, tuple[str, int]] = {np.ndarray: ("f", 1), int: ("iu", 0), float: ("f", 0), str: ("U", 0)}


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationResult:
    """What a model scored on a set of tasks, beside nearest-class-mean on the very same ones."""

    task_accuracy: np.ndarray = dataclasses.field(repr=False)  # [tasks]
    task_loss: np.ndarray = dataclasses.field(repr=False)  # [tasks], nats
    task_nearest_class_mean: np.ndarray = dataclasses.field(repr=False)  # [tasks]
    ways: int
    shots: int
    queries: int
    seed: int
    stream: int
    data: str  # the table's digest
    tasks: str  # the tasks' digest
    model: str  # the model's fingerprint
    algorithm: str  # the model's name
    seconds: float

    @property
    def num_tasks(self):
        return len(self.task_accuracy)

    @functools.cached_property
    def accuracy(self):
        """Interval of the accuracy over tasks."""
        return confidence_interval(self.task_accuracy)

    @functools.cached_property
    def nearest_class_mean(self):
        """Interval of nearest-class-mean's accuracy."""
        return confidence_interval(self.task_nearest_class_mean)

    @functools.cached_property
    def loss(self):
        """Interval of the cross-entropy of the queries, nats."""
        return confidence_interval(self.task_loss)

    def summary(self):
        """Return a plain dict of everything but the per-task results, for JSON."""
        intervals = {name: getattr(self, name)._asdict() for name in ("accuracy", "nearest_class_mean", "loss")}
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if not f.name.startswith("task_")}
        return {**intervals, "num_tasks": self.num_tasks, **fields}

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
        return cls(**npz.read(path, _WHAT, **{f.name: _KINDS[f.type] for f in dataclasses.fields(cls)}))

    def __str__(self):
        return (
            f"{self.algorithm} {self.accuracy.percent()}, nearest class mean {self.nearest_class_mean.percent()} "
            f"({self.ways}-way {self.shots}-shot, {self.queries} queries a class, {self.num_tasks} tasks, "
            "95 % confidence intervals)"
        )
