"""absl flags from the configuration's fields and back.

A flag exists for every field of every section of a RunConfig, under the field's own name. A name that two sections
have, as LEO and the baselines do, is one flag. A flag's module name is the group that `--help` lists it in.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from absl import flags

from leo_tf.config import ALGORITHMS, RunConfig, section_types
from leo_tf.errors import InputError

_DEFINERS: dict[Any, Callable] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def _all_fields():
    """Return {name: (group, dataclass field)} of everything that can be set."""
    fields = {f.name: (f.metadata["group"], f) for f in dataclasses.fields(RunConfig) if f.metadata}
    for kind in (kind for algorithm in ALGORITHMS for kind in section_types(algorithm).values()):
        for field in dataclasses.fields(kind):
            fields.setdefault(field.name, (field.metadata["group"] or kind.group, field))
    return fields


def define_run_flags(flag_values=flags.FLAGS):
    """Define one flag for each configuration field, with the field's default, help and group."""
    for group, field in _all_fields().values():
        _define(field, field.default, field.metadata["help"], group, flag_values)


def define_override_flags(names, flag_values=flags.FLAGS):
    """Define flags for the named fields with no default: None means "as the run has it", and their help says so."""
    fields = _all_fields()
    for name in names:
        group, field = fields[name]
        _define(field, None, f"{field.metadata['help']} (default: the run's)", group, flag_values)


def define_section_flags(kinds, flag_values=flags.FLAGS):
    """Define one flag for each field of the sections `kinds`, which are dataclasses of another configuration."""
    for kind in kinds:
        for field in dataclasses.fields(kind):
            group = field.metadata["group"] or kind.group
            _define(field, field.default, field.metadata["help"], group, flag_values)


def section_of(kind, flag_values=flags.FLAGS):
    """Return the section of type `kind` that the parsed flags describe; raises InputError as `run_config`."""
    return kind(**{field.name: flag_values[field.name].value for field in dataclasses.fields(kind)})


def _define(field, default, about, group, flag_values):
    where = {"flag_values": flag_values, "module_name": group}  # absl lists flags by module
    if choices := field.metadata["choices"]:
        flags.DEFINE_enum(field.name, default, choices, about, **where)
    else:
        _DEFINERS[field.type](field.name, default, about, **where)


def run_config(flag_values=flags.FLAGS):
    """Return the `RunConfig` that the parsed flags describe; flags of other algorithms' settings do nothing.

    Raises:
      InputError: a value is out of bounds; the message names the flag.
    """
    problem, algorithm = flag_values["problem"].value, flag_values["algorithm"].value
    sections = {name: section_of(kind, flag_values) for name, kind in section_types(algorithm).items()}
    return RunConfig(**sections, problem=problem, algorithm=algorithm)


def override(config, flag_values=flags.FLAGS):
    """Return `config` with every override flag that was given put in place of the run's own value."""
    names = config.with_settings({}).flat().keys() & set(flag_values)
    given = {name: flag_values[name].value for name in names if flag_values[name].value is not None}
    return config.with_settings(given)


def flags_of(config):
    """Return the flags, `--name=value`, that make train.py's configuration this RunConfig: those off their default."""
    default = RunConfig(algorithm=config.algorithm).flat() | {"algorithm": RunConfig().algorithm}
    return [f"--{name}={_text(value)}" for name, value in config.flat().items() if default.get(name) != value]


def _text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def define_execution_flags(flag_values=flags.FLAGS):
    """Define how a command runs many jobs; fields of execution.Execution."""
    where = {"flag_values": flag_values, "module_name": "Execution"}
    about = "processes of this machine, or tasks of a Ray cluster"
    flags.DEFINE_enum("executor", "processes", ["processes", "ray"], about, **where)
    flags.DEFINE_integer("jobs", 2, "jobs at once, each in processes of its own", **where)
    about = "threads of a job's arithmetic; 0: this machine's cores, shared among the jobs"
    flags.DEFINE_integer("threads_per_job", 0, about, **where)
    flags.DEFINE_float("gpus_per_job", 0.0, "GPUs that Ray reserves for a job", **where)
    flags.DEFINE_string("ray_address", "", "a running Ray cluster; empty: one is started on this machine", **where)


def execution_flags(flag_values=flags.FLAGS):
    """Return the values of these flags by name."""
    names = ("executor", "jobs", "threads_per_job", "gpus_per_job", "ray_address")
    return {name: getattr(flag_values, name) for name in names}


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
