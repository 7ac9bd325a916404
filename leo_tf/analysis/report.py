"""The report: all sections as one page, PNG and JSON files, and figures for TensorBoard."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from leo_tf.analysis.section import Section
from leo_tf.errors import require_package
from leo_tf.evaluation import plots
from leo_tf.files import html_report, write_json, write_text, writing
from leo_tf.files.reports import versions

_NUMBERS = "report.json"
_SUFFIX = ".analysis"  # of the names of event files


def require_report(folder: Path) -> None:
    """Raise InputError, before any work, unless a report can be made and written."""
    plots.require_drawing()
    require_package("sklearn", "The report")
    html_report.require_html_report(*(folder / name for name in (html_report.TEXT, html_report.PAGE, _NUMBERS)))


def write_report(folder: Path, about: Mapping[str, Any], sections: Mapping[str, Section], command: str) -> Path:
    """Write report.md, report.html and report.json, a PNG for each figure, and events for TensorBoard.

    Returns the page's Path. about: description of the run, with `checkpoint_path`, `model`, `step` and `tasks`.
    """
    name, shown = str(about["checkpoint_path"]), {key: about[key] for key in ("model", "step", "tasks")}
    figures = {
        f"{figure_name}.png": plots.png(each.figure)
        for section in sections.values()
        for figure_name, each in section.figures.items()
    }
    _remove_old_figures(folder, keep=figures)
    for section in sections.values():
        for file, lines in section.files.items():
            write_text(folder / file, lines)
    content = {"name": name, "command": command, "sections": list(sections.values()), **shown}
    html_report.write_report(folder, "leo_tf.analysis", f"Analysis of {name}", figures, **content)
    found = {section_name: section.summary for section_name, section in sections.items()}
    described = {**about, "command": command, "versions": versions(), "figures": sorted(figures)}
    write_json(folder / _NUMBERS, {**described, "analyses": found})
    for old in folder.glob(f"*{_SUFFIX}"):  # events of a previous report
        old.unlink(missing_ok=True)
    images = {f"{name}/{each}": shown for name, part in sections.items() for each, shown in part.figures.items()}
    plots.write_images(folder, images, about["step"], _SUFFIX)
    return folder / html_report.PAGE


def _remove_old_figures(folder: Path, keep: Iterable[str]) -> None:
    """Remove the figures that the folder's previous report.json names, except those to keep."""
    try:
        named = json.loads((folder / _NUMBERS).read_text(encoding="utf-8"))["figures"]
        old = {Path(name).name for name in named} - set(keep)
    except (OSError, ValueError, KeyError, TypeError):  # no report, or not one of ours
        return
    for path in (folder / name for name in old if name.endswith(".png")):
        with writing(path):
            path.unlink(missing_ok=True)
