"""The text of a command's `--help`: its flags in groups, with their defaults, and an example."""

import shutil
import sys
import textwrap
from collections.abc import Iterable

from absl import flags

GROUP_COMMAND = "leo-tf"  # see leo_tf/__main__.py
GROUPS = (
    *("Run", "Workers", "Output", "Data", "Images", "Network", "Tasks", "LEO", "ProtoLEO"),
    *("Optimisation", "Meta-learners", "Regression", "Search", "Execution"),
)
_FOREIGN = ("absl", "tensorflow", "keras", "tensorboard")
_KINDS = {
    "int": "NUMBER",
    "float": "NUMBER",
    "number or auto": "NUMBER|auto",
    "comma separated list of strings": "A,B,...",
}
_INDENT, _MOST_COLUMNS = " " * 6, 100


def command_line(subcommand: str, script: str) -> str:
    """Return how a user who called this command would call another one: "leo-tf evaluate" or "python evaluate.py"."""
    is_group = sys.argv[0].startswith(f"{GROUP_COMMAND} ")
    return f"{GROUP_COMMAND} {subcommand}" if is_group else f"python {script}"


def help_text(about: str, usage: str, example: str, flag_values: flags.FlagValues, takes: str = "") -> str:
    """Return the help of a command; `usage` is its call ("python train.py"), `takes` its arguments ("IMAGES...")."""
    takes = f" {takes}" if takes else ""
    columns = min(_MOST_COLUMNS, shutil.get_terminal_size((_MOST_COLUMNS, 24)).columns)
    parts = [
        f"{about}\n\nUsage:    {usage} [--flagfile=FILE] [--name=value ...]{takes}\nExample:  {example}",
        *(f"{group}\n{_listed(chosen, columns)}" for group, chosen in grouped(flag_values).items()),
        "A flagfile has one flag per line; of a repeated flag the last one counts.\n"
        "--verbosity=0 shows TensorFlow's log, --helpfull absl's flags.",
    ]
    return "\n\n".join(parts) + "\n"


def grouped(flag_values: flags.FlagValues) -> dict[str, list[flags.Flag]]:
    """Return {group: flags} of a command's own flags, in the order of GROUPS; "Flags" are those without a group."""
    found: dict[str, list] = {}
    for module, defined in flag_values.flags_by_module_dict().items():
        if module.partition(".")[0] not in _FOREIGN:
            found.setdefault(module if module in GROUPS else "Flags", []).extend(defined)
    return {group: found[group] for group in ("Flags", *GROUPS) if group in found}


def usage_of(flag: flags.Flag) -> str:
    """Return the usage of a flag: `--jit=auto|on|off`, `--[no]download`, `--seed=0`."""
    choices = getattr(flag.parser, "enum_values", None)
    if flag.boolean:
        return f"--[no]{flag.name}"
    if choices:
        return f"--{flag.name}={'|'.join(choices)}"
    return f"--{flag.name}={_KINDS.get(flag.flag_type(), 'TEXT')}"


def default_of(flag: flags.Flag) -> str:
    """Return a flag's default as text; empty if it has none."""
    value = flag.default
    if value is None or value == "" or value == []:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _listed(chosen: Iterable[flags.Flag], columns: int) -> str:
    lines = []
    for flag in chosen:
        default = default_of(flag)
        lines.append(f"  {usage_of(flag)}")
        about = flag.help.partition(">: ")[2] if getattr(flag.parser, "enum_values", None) else flag.help
        about = f"{about} (default: {default})" if default else about
        lines += textwrap.wrap(about, columns, initial_indent=_INDENT, subsequent_indent=_INDENT)
    return "\n".join(lines)
