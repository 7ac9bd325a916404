"""What is searched: a TOML file with a range or a choice for each setting."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from leo_tf.errors import InputError, shown

_SCALES = ("uniform", "log")
_MOST = 1e300  # the largest number of a range
_NO_SETTINGS = ("problem", "algorithm", "seed", "metavalid_seed")  # to search


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, even on the scale; whole ones for a whole-number setting."""

    low: float
    high: float
    scale: str = "uniform"

    def suggest(self, trial, name, kind):
        """Take a value by Optuna's Trial."""
        take = trial.suggest_int if kind is int else trial.suggest_float
        return take(name, kind(self.low), kind(self.high), log=self.scale == "log")

    @property
    def examples(self):
        """Values that a configuration has to accept."""
        return self.low, self.high


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def suggest(self, trial, name, kind):
        """Take a value by Optuna's Trial."""
        return trial.suggest_categorical(name, self.values)

    @property
    def examples(self):
        """Values that a configuration has to accept."""
        return self.values


@dataclasses.dataclass(frozen=True)
class Space:
    """Ranges and choices by the name of the setting, and the type of each."""

    parts: dict[str, Range | Choice]
    kinds: dict[str, type]

    def suggest(self, trial):
        """Return {setting: value} for an Optuna Trial, which remembers it."""
        return {name: part.suggest(trial, name, self.kinds[name]) for name, part in self.parts.items()}

    def record(self):
        """Return a plain dict, for JSON."""
        return {name: {"type": type(part).__name__, **dataclasses.asdict(part)} for name, part in self.parts.items()}


def read_space(path, config):
    """Read a space.

    Args:
      path: TOML file. For each setting a table with `low`, `high` and, if not uniform, `scale = "log"`; or `choices`.
      config: RunConfig that the values are put into.

    Returns:
      Space.

    Raises:
      InputError: no such file, no TOML, an unknown setting, an empty range, or a value that the configuration refuses.

    Example:
      >>> from leo_tf.search.space import read_space
      >>> _ = pathlib.Path("space.toml").write_text("[outer_lr]\\nlow = 1e-4\\nhigh = 1e-2\\nscale = 'log'\\n")
      >>> read_space("space.toml", leo_tf.RunConfig()).parts["outer_lr"].high
      0.01
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read the space {path} ({error.strerror}); expected a file like {_LIKE}.") from None
    except (ValueError, RecursionError) as error:  # TOML and UTF-8 errors are ValueErrors
        raise InputError(f"The space {path} is no TOML ({error}); expected a file like {_LIKE}.") from None
    settings = config.flat()
    if not tables:
        raise InputError(f"The space {path} is empty; expected a file like {_LIKE}.")
    parts, kinds = {}, {}
    for name, table in tables.items():
        where = f"The space {path} has [{name}]"
        if name not in settings or name in _NO_SETTINGS:
            raise InputError(f"{where}, which is no setting to search; train.py --help lists the settings.")
        kinds[name] = type(settings[name])
        parts[name] = _part(table, kinds[name], where)
        for value in parts[name].examples:
            try:
                config.with_settings({name: value})
            except InputError as error:
                raise InputError(f"{where} with {shown(value)}, which a run refuses: {error}") from None
    return Space(parts, kinds)


_LIKE = "configs/search/paper.toml"


def _part(table, kind, where):
    if not isinstance(table, dict):
        raise InputError(f"{where} = {shown(table)}; expected a table with low and high, or choices.")
    if set(table) == {"choices"}:
        values = table["choices"]
        if not isinstance(values, list) or len(values) < 2 or len(set(map(_identity, values))) < len(values):
            raise InputError(f"{where} with choices={shown(values)}; expected a list of at least 2 different values.")
        return Choice(tuple(values))
    if not {"low", "high"} <= set(table) <= {"low", "high", "scale"}:
        raise InputError(f"{where} with {', '.join(table) or 'nothing'}; expected low, high and scale, or choices.")
    if kind not in (int, float):
        raise InputError(f"{where} with a range; expected choices, for it is no number.")
    low, high, scale = table["low"], table["high"], table.get("scale", "uniform")
    if scale not in _SCALES:
        raise InputError(f"{where} with scale={shown(scale)}; expected {' or '.join(_SCALES)}.")
    if not all(_is_number(value, kind) for value in (low, high)) or not low < high:
        what = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{where} with low={shown(low)} high={shown(high)}; expected {what}, low below high.")
    if scale == "log" and low <= 0:
        raise InputError(f"{where} with low={shown(low)} and scale='log'; expected low above 0.")
    return Range(low, high, scale)


def _is_number(value, kind):
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST <= value <= _MOST:  # NaN never is
        return False
    return kind is float or isinstance(value, int)


def _identity(value):
    """Return a text that differs for 1, 1.0 and true."""
    return hex(value) if type(value) is int else repr(value)
