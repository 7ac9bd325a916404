"""absl flags from the fields of a configuration, and back.

A field that several sections have is one flag. A flag's absl module name is its heading in `--help`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from leo_tf.config import ALGORITHMS, RunConfig, section_types
from leo_tf.config.section import AUTO
from leo_tf.errors import InputError


class NumberOrAuto(flags.ArgumentParser):
    """Parser of a flag that takes a number or the text "auto"."""

    syntactic_help = "a number or auto"

    def parse(self, argument: Any) -> float | str:
        if argument == AUTO:
            return AUTO
        try:
            return float(argument)
        except (TypeError, ValueError):
            raise ValueError("expected a number or auto") from None

    def flag_type(self) -> str:
        return "number or auto"


def _define_number_or_auto(name: str, default: Any, about: str, **where: Any) -> None:
    flags.DEFINE(NumberOrAuto(), name, default, about, serializer=flags.ArgumentSerializer(), **where)


_DEFINERS: dict[Any, Callable] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    float | str: _define_number_or_auto,
}


def _fields_of(kinds: Iterable[Any]) -> dict[str, tuple[str, dataclasses.Field]]:
    """Return {name: (group, dataclass field)} of sections of these types."""
    fields: dict[str, tuple[str, dataclasses.Field]] = {}
    for kind in kinds:
        for field in dataclasses.fields(kind):
            fields.setdefault(field.name, (field.metadata["group"] or kind.group, field))
    return fields


def _run_fields() -> dict[str, tuple[str, dataclasses.Field]]:
    own = {f.name: (f.metadata["group"], f) for f in dataclasses.fields(RunConfig) if f.metadata}
    return own | _fields_of(kind for algorithm in ALGORITHMS for kind in section_types(algorithm).values())


def define_run_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Define one flag for each field of a RunConfig, with the field's default, help and group."""
    for group, field in _run_fields().values():
        _define(field, field.default, field.metadata["help"], group, flag_values)


def define_override_flags(names: Iterable[str], flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Define flags for the named fields without a default: None keeps the run's value, and the help says so."""
    fields = _run_fields()
    for name in names:
        group, field = fields[name]
        _define(field, None, f"{field.metadata['help']} (default: the run's)", group, flag_values)


def define_section_flags(kinds: Iterable[Any], flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Define one flag for each field of other sections than a RunConfig's; `kinds` are their types."""
    for group, field in _fields_of(kinds).values():
        _define(field, field.default, field.metadata["help"], group, flag_values)


def section_of(kind: Any, flag_values: flags.FlagValues = flags.FLAGS) -> Any:
    """Return the section of type `kind` that the parsed flags describe."""
    return kind(**{field.name: flag_values[field.name].value for field in dataclasses.fields(kind)})


def _define(field: dataclasses.Field, default: Any, about: str, group: str, flag_values: flags.FlagValues) -> None:
    where: dict[str, Any] = {"flag_values": flag_values, "module_name": group}  # absl lists flags by module
    if choices := field.metadata["choices"]:
        flags.DEFINE_enum(field.name, default, choices, about, **where)
    else:
        _DEFINERS[field.type](field.name, default, about, **where)


def run_config(flag_values: flags.FlagValues = flags.FLAGS) -> RunConfig:
    """Return the RunConfig that the parsed flags describe; settings of other algorithms are ignored."""
    problem, algorithm = flag_values.problem, flag_values.algorithm
    sections = {name: section_of(kind, flag_values) for name, kind in section_types(algorithm).items()}
    return RunConfig(**sections, problem=problem, algorithm=algorithm)


def override(config: RunConfig, flag_values: flags.FlagValues = flags.FLAGS) -> RunConfig:
    """Return `config` with the value of every override flag that was given."""
    names = config.with_settings({}).flat().keys() & set(flag_values)
    given = {name: flag_values[name].value for name in names if flag_values[name].value is not None}
    return config.with_settings(given)


def flags_of(config: RunConfig) -> list[str]:
    """Return the flags, `--name=value`, of a RunConfig's settings that are not at their default."""
    default = RunConfig(algorithm=config.algorithm).flat() | {"algorithm": RunConfig().algorithm}
    changed = {name: value for name, value in config.flat().items() if default.get(name) != value}
    return [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in changed.items()]


def shipped_configs() -> Path:
    """Return the folder configs/ of flagfiles: inside an installed package, beside the package in a clone."""
    package = Path(__file__).parents[1]
    packaged = package / "configs"  # put there by setup.py
    return packaged if packaged.is_dir() else package.with_name("configs")


def refuse_positional(arguments: Sequence[str]) -> None:
    """Raise InputError if anything but flags was given: in a flagfile, most often a line that lost its `--`."""
    if len(arguments) > 1:
        raise InputError(
            f"Got {' '.join(repr(argument) for argument in arguments[1:])} besides flags; expected only flags. Write "
            "--name=value, and in a flagfile one flag per line, each starting with --, and comments on lines of "
            "their own."
        )
