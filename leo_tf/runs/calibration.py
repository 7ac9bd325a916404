"""Calibration of a run's best checkpoint, by number of examples per class."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Self


class RunCalibration(NamedTuple):
    """Temperatures that divide the classifiers of a run; between numbers of shots they are interpolated."""

    shots: tuple[int, ...]  # rising
    temperatures: tuple[float, ...]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self | None:
        """Return the calibration in a JSON object of fields of these names, or None where there is no valid one."""
        shots: Any = record.get("shots")
        temperatures: Any = record.get("temperatures")
        if not _numbers(shots, int) or not _numbers(temperatures, float) or len(shots) != len(temperatures):
            return None
        if min(shots) < 1 or sorted(set(shots)) != shots or min(temperatures) <= 0:
            return None
        return cls(tuple(shots), tuple(temperatures))

    def record(self) -> dict[str, Any]:
        """Return the JSON object of `from_record`."""
        return {name: list(values) for name, values in self._asdict().items()}


def _numbers(values: Any, kind: type) -> bool:
    return isinstance(values, list) and bool(values) and all(type(n) is kind and math.isfinite(n) for n in values)
