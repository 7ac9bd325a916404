"""What every section of a configuration is: a frozen dataclass whose fields know their type, bounds and choices."""

import dataclasses
import math
import numbers
from typing import Any, ClassVar

from leo_tf.errors import InputError, shown

MOST = 2**53  # whole numbers above it are no exact floats, and every size of ours is far below


def setting(default, help_text, *, choices=None, low=None, high=None, expected=None, group="") -> Any:
    """Declare a field of a section.

    Args:
      default: its default; its annotation is the type.
      help_text: for `--help`.
      choices: the texts it may be.
      low, high: inclusive bounds of a number; low is 0 and high the largest sensible one unless given.
      expected: what an error message says was expected; made from the bounds unless given.
      group: where `--help` lists it; the section's unless given.
    """
    bounds = {"low": low, "high": high, "expected": expected}
    metadata = {"help": help_text, "choices": choices, **bounds, "group": group}
    return dataclasses.field(default=default, metadata=metadata)


def count(default, help_text, low=1, high=MOST, group=""):
    """Declare a whole number of at least `low`."""
    return setting(default, help_text, low=low, high=high, group=group)


def weight(default, help_text):
    """Declare a finite number of at least 0."""
    return setting(default, help_text, low=0.0, high=1e30, expected="a finite number of at least 0")


def require(condition, owner, name, expected):
    """Raise InputError, which names the setting, unless the condition holds."""
    if not condition:
        raise InputError(f"{name}={shown(getattr(owner, name))} was given; expected {expected}.")


@dataclasses.dataclass(frozen=True)
class Section:
    """A group of settings, valid once built.

    Raises:
      InputError: a value is of another type, out of bounds or none of the choices; the message names the setting.
    """

    group: ClassVar[str] = ""  # where `--help` lists the settings

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check(self, field)


def _check(owner, field):
    value, about = getattr(owner, field.name), field.metadata
    if field.type is bool:
        require(isinstance(value, bool), owner, field.name, "true or false")
    elif field.type is str:
        require(isinstance(value, str), owner, field.name, "a text")
        if about["choices"]:
            require(value in about["choices"], owner, field.name, " or ".join(about["choices"]))
    else:
        kind: Any = numbers.Integral if field.type is int else numbers.Real
        low, high = 0 if about["low"] is None else about["low"], MOST if about["high"] is None else about["high"]
        fits = isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high  # NaN never is
        require(fits, owner, field.name, about["expected"] or _bounds(field.type, low, high))
        object.__setattr__(owner, field.name, field.type(value))  # 1 for a float, a NumPy integer for an int


def _bounds(kind, low, high):
    what = "a whole number" if kind is int else "a number"
    return f"{what} of at least {low:g}" if high in (MOST, math.inf) else f"{what} from {low:g} to {high:g}"
