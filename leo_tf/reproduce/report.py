"""Report of a reproduction: report.md, report.html and a figure."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leo_tf.classification.results import EvaluationResult
from leo_tf.evaluation import plots
from leo_tf.files import html_report, read_json
from leo_tf.reproduce import published, tables
from leo_tf.reproduce.plan import ROWS, SETTINGS, Cell
from leo_tf.reproduce.tables import Outcome, select

_FIGURE = "accuracy.png"


def require_report(folder: Path) -> None:
    """Raise InputError, before any training, unless a report can be made and written."""
    plots.require_drawing()
    html_report.require_html_report(*(folder / name for name in (html_report.TEXT, html_report.PAGE, _FIGURE)))


def write_report(folder: Path, cells: Sequence[Cell], statuses: Mapping[str, Mapping[str, Any]], command: str) -> Path:
    """Write report.md, report.html and accuracy.png; return the path of report.md.

    `statuses` are those of the cells' jobs by name. Raises InputError if cells are of different tasks.
    """
    outcomes = []
    for cell in cells:
        if statuses[cell.name]["ok"]:
            summary = read_json(cell.result, "the evaluation of a finished cell")
            result = EvaluationResult.load(cell.result.with_suffix(".npz"))
            outcomes.append(Outcome(cell, result, summary, statuses[cell.name]["seconds"]))
    return html_report.write_report(
        folder,
        "leo_tf.reproduce",
        "LEO, reproduced",
        {_FIGURE: plots.png(_plot(outcomes))} if outcomes else {},
        command=command,
        num_cells=len(cells),
        num_finished=len(outcomes),
        parts=[part for on_val in (False, True) if (part := _part(on_val, cells, outcomes))],
        published=tables.published_table(),
        published_settings=published.SETTINGS,
        cells=tables.cell_table(outcomes),
        failed=[{"name": c.name, **statuses[c.name]} for c in cells if not statuses[c.name]["ok"]],
        commands=[f"python {script} {shlex.join(flags)}" for c in cells for script, flags in c.commands],
        figure=_FIGURE,
    )


def _part(on_val: bool, cells: Sequence[Cell], outcomes: Sequence[Outcome]) -> dict[str, Any] | None:
    """Return the tables of the settings that train on validation classes, or do not; None without such outcomes."""
    settings = [name for name in dict.fromkeys(c.setting for c in cells) if SETTINGS[name].train_on_val == on_val]
    selected = [outcome for outcome in outcomes if outcome.cell.setting in settings]
    if not selected:
        return None
    return {
        "title": "Trained on training and validation classes" if on_val else "Trained on the training classes",
        "settings": settings,
        "accuracies": tables.accuracy_table(selected, settings),
        "differences": tables.difference_table(selected, settings),
        "published": tables.comparison_table(selected) if on_val else [],
        "below": tables.below_baselines(selected),
    }


def _plot(outcomes: Sequence[Outcome]) -> Any:
    settings = list(dict.fromkeys(outcome.cell.setting for outcome in outcomes))
    rows = tables.rows_with_outcome(outcomes)
    figure = plots.new_figure(2.5 + 3.2 * len(settings), 1 + 0.4 * len(rows))
    axes = figure.subplots(1, len(settings), sharey=True, squeeze=False)[0]
    for axis, setting in zip(axes, settings, strict=True):
        for position, row in enumerate(rows):
            for outcome in select(outcomes, row, setting):
                mean, half_width = (100 * value for value in outcome.result.accuracy)
                axis.errorbar(mean, position, xerr=half_width, fmt="o", markersize=4, color="C0", alpha=0.7)
        first = next(outcome for outcome in outcomes if outcome.cell.setting == setting)
        axis.axvline(100 * first.result.nearest_class_mean.mean, color="0.6", linestyle="--", linewidth=1)
        axis.set(title=setting, xlabel="test accuracy, %", yticks=range(len(rows)))
    axes[0].set_yticklabels([ROWS[row] for row in rows])
    axes[0].invert_yaxis()
    figure.suptitle("one point per seed, 95 % interval over tasks; dashed: nearest class mean", fontsize=9)
    return plots.finished(figure)
