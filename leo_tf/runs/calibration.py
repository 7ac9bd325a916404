"""Calibration of a run's best checkpoint, by number of examples per class."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

_MOST_SHOTS = 1_000_000


class RunCalibration(NamedTuple):
    """Numbers that were fitted on validation tasks for some numbers of shots, and are interpolated between them."""

    shots: tuple[int, ...]  # rising
    temperatures: tuple[float, ...]  # of classifiers
    unknown_temperatures: tuple[float, ...] = ()  # of the unknown class; empty if the model has none
    unknown_thresholds: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"{', '.join(f'{each:.3f}' for each in self.temperatures)} at {', '.join(map(str, self.shots))} shots"

    @property
    def has_unknown(self) -> bool:
        """Whether an unknown class was fitted."""
        return bool(self.unknown_thresholds)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self | None:
        """Return the calibration in a JSON object with fields of these names, or None where there is no valid one."""
        values = [record.get(name, []) for name in cls._fields]
        if not all(isinstance(each, list) for each in values):
            return None
        shots, temperatures, unknown_temperatures, unknown_thresholds = fields = [tuple(each) for each in values]
        numbers = [*temperatures, *unknown_temperatures, *unknown_thresholds]
        if not all(type(each) is int for each in shots) or not all(type(each) is float for each in numbers):
            return None
        if not shots or list(shots) != sorted(set(shots)) or not 1 <= shots[0] <= shots[-1] <= _MOST_SHOTS:
            return None
        if len(temperatures) != len(shots) or len(unknown_temperatures) != len(unknown_thresholds):
            return None
        if len(unknown_thresholds) not in (0, len(shots)):
            return None
        positive = min([*temperatures, *unknown_temperatures]) > 0
        return cls(*fields) if positive and all(map(math.isfinite, numbers)) else None

    def record(self) -> dict[str, list[Any]]:
        """Return the JSON object that `from_record` reads."""
        return {name: list(values) for name, values in self._asdict().items()}
