"""Search spaces: TOML files with a range or choices for each searched setting."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import optuna

from leo_tf.config import RunConfig
from leo_tf.config.section import AUTO
from leo_tf.errors import InputError, shown

_SCALES = ("uniform", "log")
_LARGEST = 1e300  # number in a range
_NOT_SEARCHABLE = ("problem", "algorithm", "seed", "metavalid_seed")
_EXAMPLE = "configs/search/paper.toml"


class Range(NamedTuple):
    """Numbers from `low` to `high`, uniform on the scale; whole numbers if the setting takes those."""

    low: float
    high: float
    scale: str = "uniform"


class Choices(NamedTuple):
    """A list of values."""

    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Space:
    """Range or choices, and the type of the value, by the name of the setting."""

    settings: dict[str, Range | Choices]
    types: dict[str, type]

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return {setting: value} for an Optuna trial, which remembers the values."""
        found: dict[str, Any] = {}
        for name, domain in self.settings.items():
            if isinstance(domain, Choices):
                found[name] = trial.suggest_categorical(name, domain.values)
            elif self.types[name] is int:
                found[name] = trial.suggest_int(name, int(domain.low), int(domain.high), log=domain.scale == "log")
            else:
                found[name] = trial.suggest_float(name, domain.low, domain.high, log=domain.scale == "log")
        return found

    def record(self) -> dict[str, Any]:
        """Return a plain dict, for JSON."""
        return {name: {"type": type(domain).__name__, **domain._asdict()} for name, domain in self.settings.items()}


def read_space(path: str | Path, config: RunConfig) -> Space:
    """Read a TOML file: for each setting a table with low, high and, unless uniform, scale = "log"; or choices.

    A setting that is "auto" in the configuration takes a range of numbers. Raises InputError for an unknown setting, an
    empty range, or a value that the configuration refuses.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read the space {path} ({error.strerror}); expected a file like {_EXAMPLE}.") from None
    except (ValueError, RecursionError) as error:  # TOML and UTF-8 errors are ValueErrors
        raise InputError(f"The space {path} is not TOML ({error}); expected a file like {_EXAMPLE}.") from None
    if not tables:
        raise InputError(f"The space {path} is empty; expected a file like {_EXAMPLE}.")
    known = config.flat()
    settings, types = {}, {}
    for name, table in tables.items():
        where = f"The space {path} has [{name}]"
        if name not in known or name in _NOT_SEARCHABLE:
            raise InputError(f"{where}, which is not a setting to search; train.py --help lists the settings.")
        types[name] = float if known[name] == AUTO else type(known[name])
        settings[name] = _domain(table, types[name], where)
        domain = settings[name]
        for value in domain.values if isinstance(domain, Choices) else (domain.low, domain.high):
            try:
                config.with_settings({name: value})
            except InputError as error:
                raise InputError(f"{where} with {shown(value)}, which a run refuses: {error}", name) from None
    return Space(settings, types)


def _domain(table: Any, kind: type, where: str) -> Range | Choices:
    if not isinstance(table, dict):
        raise InputError(f"{where} = {shown(table)}; expected a table with low and high, or choices.")
    if set(table) == {"choices"}:
        values = table["choices"]
        if not isinstance(values, list) or len(values) < 2 or len(set(map(_identity, values))) < len(values):
            raise InputError(f"{where} with choices={shown(values)}; expected a list of at least 2 different values.")
        return Choices(tuple(values))
    if not {"low", "high"} <= set(table) <= {"low", "high", "scale"}:
        raise InputError(f"{where} with {', '.join(table) or 'nothing'}; expected low, high and scale, or choices.")
    if kind not in (int, float):
        raise InputError(f"{where} with a range; expected choices, because the setting is not a number.")
    low, high, scale = table["low"], table["high"], table.get("scale", "uniform")
    if scale not in _SCALES:
        raise InputError(f"{where} with scale={shown(scale)}; expected {' or '.join(_SCALES)}.")
    if not all(_is_number(value, kind) for value in (low, high)) or not low < high:
        what = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{where} with low={shown(low)} high={shown(high)}; expected {what}, low below high.")
    if scale == "log" and low <= 0:
        raise InputError(f"{where} with low={shown(low)} and scale='log'; expected low above 0.")
    return Range(low, high, scale)


def _is_number(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_LARGEST <= value <= _LARGEST and (kind is float or isinstance(value, int))  # NaN is not in bounds


def _identity(value: Any) -> str:
    """Return a text that differs between 1, 1.0 and true."""
    return hex(value) if type(value) is int else repr(value)
