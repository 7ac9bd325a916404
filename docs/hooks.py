"""Hooks of mkdocs: fill the command reference in from the flags themselves."""

from types import ModuleType
from typing import Any

from absl import flags

from leo_tf.commands import evaluate, train
from leo_tf.commands.help import default_of, grouped, usage_of

COMMANDS = {"train.py": train, "evaluate.py": evaluate}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace the placeholders of commands.md by tables of flags."""
    if page.file.src_path != "commands.md":
        return markdown
    for script, module in COMMANDS.items():
        markdown = markdown.replace(f"<!-- flags of {script} -->", reference(module))
    return markdown


def reference(module: ModuleType) -> str:
    """Return the flags of a command as Markdown, group by group."""
    values = flags.FlagValues()
    module.define_flags(values)
    parts = []
    for group, chosen in grouped(values).items():
        rows = [f"| `{usage_of(flag)}` | {_about(flag)} | {_code(default_of(flag))} |" for flag in chosen]
        parts.append("\n".join([f"### {group}\n", "| flag | | default |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def _about(flag: flags.Flag) -> str:
    return flag.help.partition(">: ")[2] if getattr(flag.parser, "enum_values", None) else flag.help


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
