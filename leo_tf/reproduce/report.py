"""The report of a reproduction: numbers gathered here, laid out by the templates beside this file, and a picture."""

import dataclasses
import shlex
from pathlib import Path

from leo_tf.classification.results import EvaluationResult
from leo_tf.evaluation import difference_over_seeds, plots, seed_summary
from leo_tf.files import read_json, require_writable, write_bytes, write_text
from leo_tf.files.html_report import render, require_pages, write_page
from leo_tf.reproduce import published
from leo_tf.reproduce.baselines import baseline_rows, below
from leo_tf.reproduce.plan import ROWS, SETTINGS, Cell

_SOURCES = {"paper": published.PAPER, "official README": published.OFFICIAL}
_PUBLISHED_DATA = ("miniImageNet", "tieredImageNet")
_TEXT, _PAGE, _PICTURE = "report.md", "report.html", "accuracy.png"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a finished cell gave."""

    cell: Cell
    result: EvaluationResult
    about: dict  # the evaluation's JSON
    seconds: float


def require_report(folder):
    """Check, before any work, that a report can be made and written.

    Raises:
      InputError: a package is missing, or a file cannot be written.
    """
    require_pages("The report")
    plots.require_drawing()
    for name in (_TEXT, _PAGE, _PICTURE):
        require_writable(Path(folder) / name)


def write_report(folder, cells, statuses, command):
    """Write report.md, report.html and accuracy.png.

    Args:
      folder: where to.
      cells: list of Cell.
      statuses: from `execution.run_jobs`.
      command: the command line that makes the report again.

    Returns:
      The path of report.md.

    Raises:
      InputError: a package is missing that the report needs, cells are of different tasks, or a file cannot be written.
    """
    require_report(folder)
    folder, outcomes = Path(folder), gather(cells, statuses)
    content = _content(cells, statuses, outcomes, command)
    text = render("leo_tf.reproduce", _TEXT, **content, picture=_PICTURE)
    write_text(folder / _TEXT, text)
    pictures = {_PICTURE: plots.png(_plot(outcomes))} if outcomes else {}
    for name, picture in pictures.items():
        write_bytes(folder / name, picture)
    write_page(folder / _PAGE, "LEO, reproduced", text, pictures)
    return folder / _TEXT


def gather(cells, statuses):
    """Return an Outcome for each cell that succeeded.

    Raises:
      InputError: what a cell wrote is missing or damaged.
    """
    outcomes = []
    for cell in cells:
        if statuses[cell.name]["ok"]:
            about = read_json(cell.result, "the evaluation of a finished cell")
            result = EvaluationResult.load(cell.result.with_suffix(".npz"))
            outcomes.append(Outcome(cell, result, about, statuses[cell.name]["seconds"]))
    return outcomes


def _content(cells, statuses, outcomes, command):
    """Return what the template of the report lays out: texts, and tables as lists of rows."""
    return {
        "command": command,
        "num_cells": len(cells),
        "num_finished": len(outcomes),
        "parts": [
            part
            for title, on_val in (
                ("Trained on the training classes", False),
                ("Trained on training and validation classes", True),
            )
            if (part := _part(title, on_val, cells, outcomes))
        ],
        "published": _published(),
        "published_settings": published.SETTINGS,
        "cells": [_cell(outcome) for outcome in outcomes],
        "failed": [{"name": c.name, **statuses[c.name]} for c in cells if not statuses[c.name]["ok"]],
        "commands": [f"python {script} {shlex.join(flags)}" for c in cells for script, flags in c.job.commands],
    }


def _part(title, on_val, cells, outcomes):
    """Return the tables of the settings that train on validation classes, or not; None without such outcomes."""
    settings = [name for name in dict.fromkeys(c.setting for c in cells) if SETTINGS[name].train_on_val == on_val]
    here = [outcome for outcome in outcomes if outcome.cell.setting in settings]
    if not here:
        return None
    rows = [name for name in ROWS if any(o.cell.row == name for o in here)]
    return {
        "title": title,
        "settings": settings,
        "baselines": baseline_rows(here, settings, {ROWS[row].title for row in rows}),
        "accuracies": [[ROWS[row].title, *(_accuracy(_of(here, row, s)) for s in settings)] for row in rows],
        "differences": [
            [ROWS[row].title, *(_difference(_of(here, row, s), _of(here, "leo", s)) for s in settings)]
            for row in rows
            if row != "leo"
        ],
        "beside": _beside_published(here) if on_val else [],
        "below": [line for outcome in here if (line := below(outcome, here))],
    }


def _of(outcomes, row, setting):
    return [outcome for outcome in outcomes if (outcome.cell.row, outcome.cell.setting) == (row, setting)]


def _accuracy(outcomes):
    """Return the accuracy of one row in one setting as text."""
    if not outcomes:
        return ""
    if len(outcomes) == 1:
        return outcomes[0].result.accuracy.percent()
    summary = seed_summary([outcome.result for outcome in outcomes])
    return f"{100 * summary.mean:.2f} +- {100 * summary.standard_deviation:.2f} % (sd, {summary.num_runs} seeds)"


def _difference(outcomes, of_leo):
    """Return the paired difference from LEO, averaged task by task over the seeds that both have."""
    leo = {outcome.cell.seed: outcome.result for outcome in of_leo}
    pairs = [(o.result, leo[o.cell.seed]) for o in outcomes if o.cell.seed in leo]
    if not pairs:
        return ""
    interval = difference_over_seeds(pairs)
    return f"{100 * interval.mean:+.2f} +- {100 * interval.half_width:.2f}"


def _beside_published(outcomes):
    """Return measured and published numbers in rows, for cells on the published data."""
    rows = []
    for outcome in outcomes:
        setting = SETTINGS[outcome.cell.setting]
        sources = {"paper": published.MULTIVIEW} if setting.multiview else _SOURCES
        comparable = outcome.about["dataset_name"] in _PUBLISHED_DATA and outcome.cell.seed == outcomes[0].cell.seed
        for source, numbers in sources.items() if comparable else ():
            number = numbers.get(outcome.cell.row, {}).get(setting.published)
            if number:
                measured = _accuracy(_of(outcomes, outcome.cell.row, outcome.cell.setting))
                title = ROWS[outcome.cell.row].title
                rows.append([title, outcome.cell.setting, measured, "{:.2f} +- {:.2f} %".format(*number), source])
    return rows


def _published():
    def row(title, source, numbers):
        found = [numbers.get(setting) for setting in published.SETTINGS]
        return [title, source, *("{:.2f} +- {:.2f}".format(*number) if number else "" for number in found)]

    rows = [row(ROWS[name].title, "paper", numbers) for name, numbers in published.PAPER.items()]
    rows += [row(ROWS[name].title, "official README", numbers) for name, numbers in published.OFFICIAL.items()]
    return rows + [row(f"{ROWS[n].title}, multiview", "paper", numbers) for n, numbers in published.MULTIVIEW.items()]


def _cell(outcome):
    cell, result, about = outcome.cell, outcome.result, outcome.about
    done = [about["dataset_name"], result.accuracy.percent(), result.num_tasks, about["step"]]
    return [cell.row, cell.setting, cell.seed, *done, f"{outcome.seconds:.0f} s"]


def _plot(outcomes):
    settings = list(dict.fromkeys(outcome.cell.setting for outcome in outcomes))
    rows = [row for row in ROWS if any(outcome.cell.row == row for outcome in outcomes)]
    figure = plots.new_figure(2.5 + 3.2 * len(settings), 1 + 0.4 * len(rows))
    axes = figure.subplots(1, len(settings), sharey=True, squeeze=False)[0]
    for axis, setting in zip(axes, settings, strict=True):
        for place, row in enumerate(rows):
            for outcome in _of(outcomes, row, setting):
                mean, half_width = (100 * value for value in outcome.result.accuracy)
                axis.errorbar(mean, place, xerr=half_width, fmt="o", markersize=4, color="C0", alpha=0.7)
        here = [outcome for outcome in outcomes if outcome.cell.setting == setting]
        axis.axvline(100 * here[0].result.nearest_class_mean.mean, color="0.6", linestyle="--", linewidth=1)
        axis.set(title=setting, xlabel="test accuracy, %", yticks=range(len(rows)))
    axes[0].set_yticklabels([ROWS[row].title for row in rows])
    axes[0].invert_yaxis()
    figure.suptitle("one point a seed, 95 % interval over tasks; dashed: nearest class mean", fontsize=9)
    return plots.finished(figure)
