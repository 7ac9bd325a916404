"""Everything that analyses found as one page, PNG and JSON files, and pictures for TensorBoard."""

import json
from pathlib import Path

from leo_tf.analysis.section import Section
from leo_tf.errors import InputError, require_package
from leo_tf.evaluation import plots
from leo_tf.files import require_writable, write_bytes, write_json, write_text, writing
from leo_tf.files.html_report import render, require_pages, write_page
from leo_tf.files.reports import versions

_TEXT, _PAGE, _NUMBERS = "report.md", "report.html", "report.json"
_SUFFIX = ".analysis"  # how the names of the events' files end


def require_report(folder):
    """Check, before any work, that a report can be made and written.

    Args:
      folder: Path of the report.

    Raises:
      InputError: a package is missing, or a file cannot be written.
    """
    require_pages("The report")
    plots.require_drawing()
    require_package("sklearn", "The report")
    for name in (_TEXT, _PAGE, _NUMBERS):
        require_writable(folder / name)


def write_report(folder, about, sections: dict[str, Section], command):
    """Write report.md, report.html, report.json, a PNG for each picture, and events for TensorBoard.

    Args:
      folder: Path, which is made where it is missing.
      about: facts on the run, a dict for JSON with `checkpoint_path`, `model`, `step` and `tasks`.
      sections: {name: Section}.
      command: the command line.

    Returns:
      Path of the page.

    Raises:
      InputError: a file cannot be written.
    """
    name = f"{about['checkpoint_path']}"
    text = render(
        "leo_tf.analysis",
        _TEXT,
        name=name,
        model=about["model"],
        step=about["step"],
        tasks=about["tasks"],
        command=command,
        sections=list(sections.values()),
    )
    pictures = {
        f"{name}.png": plots.png(picture.figure)
        for section in sections.values()
        for name, picture in section.pictures.items()
    }
    _remove_pictures(folder, pictures)
    for file, picture in pictures.items():
        write_bytes(folder / file, picture)
    write_text(folder / _TEXT, text)
    write_page(folder / _PAGE, f"Analysis of {name}", text, pictures)
    found = {name: section.summary for name, section in sections.items()}
    described = {**about, "command": command, "versions": versions(), "pictures": sorted(pictures)}
    write_json(folder / _NUMBERS, {**described, "analyses": found})
    _write_events(folder, sections, about["step"])
    return folder / _PAGE


def _remove_pictures(folder, pictures):
    """Remove the pictures of the report before, as its report.json names them, that this one does not have."""
    try:
        before = json.loads((folder / _NUMBERS).read_text(encoding="utf-8"))["pictures"]
        old = {Path(name).name for name in before} - set(pictures)
    except (OSError, ValueError, KeyError, TypeError):  # no report, or none of ours
        return
    for name in old:
        if name.endswith(".png"):
            with writing(folder / name):
                (folder / name).unlink(missing_ok=True)


def _write_events(folder, sections, step):
    """Write the pictures as TensorBoard's; those of before are replaced."""
    import tensorflow as tf

    for before in folder.glob(f"*{_SUFFIX}"):
        before.unlink(missing_ok=True)
    try:
        writer = tf.summary.create_file_writer(str(folder), filename_suffix=_SUFFIX)
        with writer.as_default(step=step):
            for section, found in sections.items():
                for name, picture in found.pictures.items():
                    plots.summarize(picture.figure, f"{section}/{name}", picture.caption)
        writer.close()
    except (OSError, tf.errors.OpError) as error:
        raise InputError(f"Cannot write in {folder} ({error}).") from None
