"""Base class of evaluation results: scores task by task, stored so that they can be compared later."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from leo_tf.errors import InputError
from leo_tf.files import npz
from leo_tf.files.reading import corrupt

_KINDS: dict[Any, tuple[str, int]] = {int: ("iu", 0), float: ("f", 0), str: ("U", 0)}


def stored(kinds: str = "f", axes: Sequence[str | int] = ("tasks",)) -> dict[str, Any]:
    """Return the metadata of an array field: letters of `numpy.dtype.kind`; axes by length, or by name if shared."""
    return {"stored": (kinds, len(axes)), "axes": axes}


class Result:
    """Scores on a fixed set of tasks; a subclass is a dataclass of the fields in its file, `seconds` among them."""

    measure: ClassVar[str]  # name of the measure of `task_scores`
    higher_is_better: ClassVar[bool]
    what: ClassVar[str]  # for messages: "the per-task results that evaluate.py writes"
    identity: ClassVar[tuple[str, ...]]  # attributes that distinguish sets of tasks, for messages
    tasks_digest: str
    model_fingerprint: str
    algorithm: str

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        raise NotImplementedError

    @property
    def shots_evaluated(self) -> list[int]:
        """Numbers of shots of the scores."""
        raise NotImplementedError

    def task_scores(self, shots: int) -> np.ndarray:
        """Return the scores [tasks] at a number of shots; raise InputError if it was not evaluated."""
        raise NotImplementedError

    def summary(self) -> dict:
        """Return a plain dict of everything but the per-task results, for JSON."""
        raise NotImplementedError

    def require_shots(self, shots: int) -> None:
        """Raise InputError unless the number of shots was evaluated."""
        if shots not in self.shots_evaluated:
            raise InputError(f"{shots} shots were not evaluated; expected one of {self.shots_evaluated}.", "shots_grid")

    @classmethod
    def _fields(cls) -> tuple[dataclasses.Field, ...]:
        return dataclasses.fields(cls)  # type: ignore[arg-type]  # every subclass is a dataclass

    def save(self, path: str | Path) -> None:
        """Write an npz file that `load` reads."""
        npz.write(path, **{field.name: getattr(self, field.name) for field in self._fields()})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a result that `save` wrote; raise InputError if the file is not such a result."""
        return cls._from_fields(path, npz.read(path, cls.what, **cls.kinds()))

    @classmethod
    def _from_fields(cls, path: str | Path, fields: Mapping[str, Any]) -> Self:
        lengths: dict[Any, tuple[int, str]] = {}
        for name, axes in ((field.name, field.metadata.get("axes", ())) for field in cls._fields()):
            for axis, length in zip(axes, np.shape(fields[name]), strict=True):
                expected, where = lengths.setdefault(axis, (length if isinstance(axis, str) else axis, name))
                if length != expected:
                    why = f"{name} has {length} {axis if isinstance(axis, str) else 'rows'}, {where} {expected}"
                    raise corrupt(path, why, cls.what)
        return cls(**fields)

    @classmethod
    def kinds(cls) -> dict[str, tuple[str, int]]:
        """Return {field: (kinds, rank)} of the fields in the file, as `npz.read` takes them."""
        return {field.name: field.metadata.get("stored") or _KINDS[field.type] for field in cls._fields()}


def require_same_tasks(results: Sequence[Result]) -> None:
    """Raise InputError, which names the differences, unless all Results are of the same tasks."""
    first = results[0]
    for other in results[1:]:
        require_of_tasks({name: getattr(first, name) for name in first.identity}, other)


def require_of_tasks(identity: Mapping[str, Any], result: Result) -> None:
    """Raise InputError, which names the differences, unless a Result is of the tasks with this identity."""
    if result.tasks_digest != identity["tasks_digest"] or result.num_tasks != identity["num_tasks"]:
        pairs = {name: (value, getattr(result, name)) for name, value in identity.items()}
        differing = [f"{name} {_short(a)} != {_short(b)}" for name, (a, b) in pairs.items() if a != b]
        raise InputError(
            f"The results are of different tasks: {', '.join(differing)}. Evaluate both with the same flags, or on one "
            "tasks file."
        )


def _short(value: Any) -> Any:
    return f"{value[:12]}..." if isinstance(value, str) else value
