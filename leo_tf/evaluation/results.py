"""What every evaluation gives, whatever its problem: scores task by task, saved so that they can be compared."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from leo_tf.errors import InputError
from leo_tf.files import npz
from leo_tf.files.reading import corrupt

_KINDS: dict[Any, tuple[str, int]] = {int: ("iu", 0), float: ("f", 0), str: ("U", 0)}


def stored(kinds="f", axes=("tasks",)):
    """Return the metadata of a Result's array field: letters of `numpy.dtype.kind`, and its axes.

    An axis is its name, by which it is as long in every field, or a number, its length.
    """
    return {"stored": (kinds, len(axes)), "axes": axes}


class Result:
    """Scores on a fixed set of tasks; a subclass is a dataclass of what is stored in the file.

    Every subclass has the fields `tasks_digest`, of the tasks; `model_fingerprint`, of the model; `algorithm`, its
    name; `seconds`, the time it took.
    """

    measure: ClassVar[str]  # what `task_scores` holds
    higher_is_better: ClassVar[bool]
    what: ClassVar[str]  # for messages: "the per-task results that evaluate.py writes"
    identity: ClassVar[tuple[str, ...]]  # attributes that tell sets of tasks apart, for messages
    tasks_digest: str
    model_fingerprint: str
    algorithm: str

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        raise NotImplementedError

    @property
    def shots_evaluated(self) -> list[int]:
        """The numbers of shots that there are scores for."""
        raise NotImplementedError

    def task_scores(self, shots) -> np.ndarray:
        """Return the scores [tasks] at a number of shots.

        Raises:
          InputError: it was not evaluated.
        """
        raise NotImplementedError

    def summary(self) -> dict:
        """Return a plain dict of everything but the per-task results, for JSON."""
        raise NotImplementedError

    def require_shots(self, shots):
        """Raise InputError unless the number of shots was evaluated."""
        if shots not in self.shots_evaluated:
            raise InputError(f"{shots} shots were not evaluated; expected one of {self.shots_evaluated}.")

    @classmethod
    def _fields(cls):
        return dataclasses.fields(cls)  # type: ignore[arg-type]  # every subclass is a dataclass

    def save(self, path):
        """Write an npz file that `load` reads.

        Raises:
          InputError: the file cannot be written.
        """
        npz.write(path, **{field.name: getattr(self, field.name) for field in self._fields()})

    @classmethod
    def load(cls, path):
        """Read a result that `save` wrote.

        Raises:
          InputError: the file is missing or damaged, or something else.
        """
        return cls.of_fields(path, npz.read(path, cls.what, **cls.kinds()))

    @classmethod
    def of_fields(cls, path, fields):
        """Return the result of what a file holds; raises InputError, which names `path`, where arrays do not fit."""
        lengths: dict[Any, tuple[int, str]] = {}
        for name, axes in ((field.name, field.metadata.get("axes", ())) for field in cls._fields()):
            for axis, length in zip(axes, np.shape(fields[name]), strict=True):
                expected, where = lengths.setdefault(axis, (length if isinstance(axis, str) else axis, name))
                if length != expected:
                    why = f"{name} has {length} {axis if isinstance(axis, str) else 'rows'}, {where} {expected}"
                    raise corrupt(path, why, cls.what)
        return cls(**fields)

    @classmethod
    def kinds(cls):
        """Return {field: (kinds, rank)} of the fields in the file, as `npz.read` takes them."""
        return {field.name: field.metadata.get("stored") or _KINDS[field.type] for field in cls._fields()}


def require_same_tasks(results):
    """Raise InputError, which names what differs, unless all Results are of the same tasks."""
    first = results[0]
    for other in results[1:]:
        require_of_tasks({name: getattr(first, name) for name in first.identity}, other)


def require_of_tasks(identity, result):
    """Raise InputError, which names what differs, unless a Result is of the tasks with this identity.

    Args:
      identity: dict with `tasks_digest` and `num_tasks`, and of what else tells tasks apart.
      result: Result.
    """
    if result.tasks_digest != identity["tasks_digest"] or result.num_tasks != identity["num_tasks"]:
        pairs = {name: (value, getattr(result, name)) for name, value in identity.items()}
        differing = [f"{name} {_short(a)} != {_short(b)}" for name, (a, b) in pairs.items() if a != b]
        raise InputError(
            f"The results are of different tasks: {', '.join(differing)}. Evaluate both with the same flags, or on one "
            "tasks file."
        )


def _short(value):
    return f"{value[:12]}..." if isinstance(value, str) else value
