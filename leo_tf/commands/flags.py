"""absl flags from the configuration's fields and back; the only module that touches absl.flags.

A flag exists for every field of every section in config.py, under the field's own name.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from absl import flags

from leo_tf.config import RunConfig, section_types
from leo_tf.errors import InputError

_DEFINERS: dict[Any, Callable] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def define_run_flags(flag_values=flags.FLAGS):
    """Define one flag for each configuration field, with the field's default and help."""
    for kind in section_types().values():
        for field in dataclasses.fields(kind):
            choices = field.metadata["choices"]
            if choices:
                flags.DEFINE_enum(
                    field.name, str(field.default), choices, field.metadata["help"], flag_values=flag_values
                )
            else:
                _DEFINERS[field.type](field.name, field.default, field.metadata["help"], flag_values=flag_values)


def define_override_flags(names, flag_values=flags.FLAGS):
    """Define flags for the named fields with no default: None means "as the run has it"."""
    fields = {field.name: field for kind in section_types().values() for field in dataclasses.fields(kind)}
    for name in names:
        about, choices = f"{fields[name].metadata['help']} (default: as in the run)", fields[name].metadata["choices"]
        if choices:
            flags.DEFINE_enum(name, None, choices, about, flag_values=flag_values)
        else:
            _DEFINERS[fields[name].type](name, None, about, flag_values=flag_values)


def run_config(flag_values=flags.FLAGS):
    """Return the `RunConfig` that the parsed flags describe.

    Raises:
      InputError: a value is out of bounds; the message names the flag.
    """
    return RunConfig(
        **{
            name: kind(**{field.name: flag_values[field.name].value for field in dataclasses.fields(kind)})
            for name, kind in section_types().items()
        }
    )


def override(config, flag_values=flags.FLAGS):
    """Return `config` with every override flag that was given put in place of the run's own value."""
    sections = {}
    for name, kind in section_types().items():
        given = {
            field.name: flag_values[field.name].value
            for field in dataclasses.fields(kind)
            if field.name in flag_values and flag_values[field.name].value is not None
        }
        sections[name] = dataclasses.replace(getattr(config, name), **given)
    return RunConfig(**sections)


def refuse_positional(arguments):
    """Raise if anything but flags was given.

    Raises:
      InputError: names the stray words; in a flagfile they are most often a line that lost its `--`.
    """
    if len(arguments) > 1:
        raise InputError(
            f"Got {' '.join(repr(a) for a in arguments[1:])} beside the flags; expected flags only. "
            "Write --name=value, and in a flagfile one flag a line, each starting with --, comments on lines of their "
            "own."
        )
