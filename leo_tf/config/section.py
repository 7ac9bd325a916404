"""Sections of a configuration: frozen dataclasses whose fields know their type, bounds and choices."""

import dataclasses
import numbers
from collections.abc import Collection
from typing import Any, ClassVar

from leo_tf.errors import InputError, shown

AUTO = "auto"  # the value of a setting that is chosen on validation tasks
MOST = 2**53  # whole numbers above it are no exact floats, and every size here is far below


def setting(
    default: Any,
    help_text: str,
    *,
    choices: Collection[str] | None = None,
    low: float | None = None,
    high: float | None = None,
    expected: str | None = None,
    group: str = "",
) -> Any:
    """Declare a field of a section, whose annotation is its type.

    `low` and `high` are inclusive bounds of a number, by default 0 and MOST; `expected` is their description in error
    messages, by default made from them; `group` is the setting's heading in `--help`, by default the section's.
    """
    bounds = {"low": low, "high": high, "expected": expected}
    return dataclasses.field(
        default=default, metadata={"help": help_text, "choices": choices, **bounds, "group": group}
    )


def count(default: int, help_text: str, low: int = 1, high: float = MOST, group: str = "") -> Any:
    """Declare a whole number of at least `low`."""
    return setting(default, help_text, low=low, high=high, group=group)


def weight(default: float, help_text: str, group: str = "") -> Any:
    """Declare a finite number of at least 0."""
    return setting(default, help_text, low=0.0, high=1e30, expected="a finite number of at least 0", group=group)


def number_or_auto(help_text: str) -> Any:
    """Declare a number above 0 or "auto", which is the default; the annotation is `float | str`."""
    return setting(AUTO, help_text, low=1e-6, high=1e6, expected="auto, or a number from 1e-06 to 1e+06")


def require(condition: Any, owner: Any, name: str, expected: str) -> None:
    """Raise InputError, which names the setting, unless the condition holds."""
    if not condition:
        raise InputError(f"{name}={shown(getattr(owner, name))} was given; expected {expected}.", name)


@dataclasses.dataclass(frozen=True)
class Section:
    """A group of settings, valid once built.

    Raises:
      InputError: a value is of another type, out of bounds or none of the choices; the message names the setting.
    """

    group: ClassVar[str] = ""  # heading under which `--help` lists the settings

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(self, field)


def _check(owner: Section, field: dataclasses.Field) -> None:
    value, about = getattr(owner, field.name), field.metadata
    if field.type == float | str and value == AUTO:
        return
    if field.type is bool:
        require(isinstance(value, bool), owner, field.name, "true or false")
    elif field.type is str:
        require(isinstance(value, str), owner, field.name, "a text")
        if about["choices"]:
            require(value in about["choices"], owner, field.name, " or ".join(about["choices"]))
    else:
        whole = field.type is int
        kind: Any = numbers.Integral if whole else numbers.Real
        low, high = 0 if about["low"] is None else about["low"], MOST if about["high"] is None else about["high"]
        fits = isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high  # NaN never is
        bounds = f"of at least {low:g}" if high == MOST else f"from {low:g} to {high:g}"
        require(fits, owner, field.name, about["expected"] or f"a {'whole ' if whole else ''}number {bounds}")
        object.__setattr__(owner, field.name, int(value) if whole else float(value))  # 1 for a float, a NumPy integer
