"""The failures section of the report on a classification run."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from leo_tf.analysis.context import AnalysisContext
from leo_tf.analysis.failure_images import draw_failure_images
from leo_tf.analysis.histograms import draw_histograms
from leo_tf.analysis.image_sheets import Images
from leo_tf.analysis.section import CaptionedFigure, Section, Table
from leo_tf.classification.failures import Failures, class_of_row, find_failures
from leo_tf.data import EmbeddingTable
from leo_tf.data.image_paths import image_paths
from leo_tf.evaluation import plots
from leo_tf.evaluation.intervals import confidence_interval

_LISTED, _MOST_CLASSES = 10, 60
_MIN_TASKS = 5  # of a class that is listed


def section(context: AnalysisContext) -> Section:
    """Return the failures Section."""
    target, split = context.target("test"), context.evaluation("test").request.split
    table, paths, images = target.table, _paths(context), load_images(context)
    found = find_failures(target)
    tables = [
        _classes_table(found, table),
        _pairs_table(found, table),
        _tasks_table(found, table),
        _examples_table(found, table, paths),
    ]
    percent = 100 * found.task_accuracy
    histogram = draw_histograms({"accuracy of a task, %": percent}, "tasks", line=percent.mean())
    figures = {
        "task_accuracy": CaptionedFigure(histogram, f"Accuracy of {len(percent)} tasks; the line is at the mean.")
    }
    if table.num_classes <= _MOST_CLASSES:
        caption = (
            "How often a query of the row's class is mistaken for the column's, in tasks that have both; the accuracy "
            "on the diagonal. Blank where no task has both."
        )
        figures["confusion"] = CaptionedFigure(draw_confusion(found, table.class_names), caption)
    if images is not None:
        figures |= draw_failure_images(found, table, target.tasks, _worst_tasks(found), images)
    text = [
        f"The tasks, classes, pairs of classes and examples with the lowest accuracy, over {len(target.tasks)} {split} "
        "tasks with all their queries. The accuracy of a class depends on the other classes of its tasks. An example "
        "that is nearly always answered wrong may be mislabelled."
    ]
    return Section("Failures", text, tables, figures, {**context.describe("test"), **summarize(found, table, paths)})


def load_images(context: AnalysisContext) -> Images | None:
    """Return the Images of the context's folder, None without one.

    Raises:
      InputError: the images are not there, or it is not known which image a row is of.
    """
    return Images(context.images, _paths(context)) if context.images else None


def _paths(context: AnalysisContext) -> Any:
    evaluation = context.evaluation("test")
    data = evaluation.config.data
    return image_paths(
        data.data_path, data.dataset_name, data.embedding_crop, evaluation.request.split, evaluation.table
    )


def summarize(found: Failures, table: EmbeddingTable, paths: Any) -> dict[str, Any]:
    """Return Failures as a plain dict for JSON."""
    names = table.class_names
    return {
        "accuracy": confidence_interval(found.task_accuracy)._asdict(),
        "classes": {names[number]: _interval(values) for number, values in found.classes()},
        "pairs": [
            {"class": names[a], "mistaken_for": names[b], "rate": rate, "reverse_rate": reverse}
            for a, b, rate, reverse in found.pairs()[:100]
        ],
        "confusion": {
            "classes": list(names),
            "rates": [[None if np.isnan(v) else float(v) for v in row] for row in found.rates()],
        },
        "tasks": [
            {"task": task, "accuracy": float(found.task_accuracy[task]), "classes": [names[c] for c in classes]}
            for task, classes in _worst_tasks(found)
        ],
        "examples": [
            {
                "class": names[number],
                "number_in_class": place,
                **({} if paths is None else {"image": str(paths[row])}),
                "asked": int(found.row_asked[row]),
                "accuracy": float(found.row_correct[row] / found.row_asked[row]),
            }
            for row in found.examples()[:100].tolist()
            for number, place in [class_of_row(table, row)]
        ],
    }


def _interval(values: np.ndarray) -> dict[str, float]:
    interval = confidence_interval(values)._asdict() if len(values) > 1 else {"mean": float(values.mean())}
    return {**interval, "tasks": len(values)}


def _worst_tasks(found: Failures) -> list[tuple[int, list[int]]]:
    order = np.argsort(found.task_accuracy, kind="stable")[:_LISTED]
    return [(task, found.class_ids[task].tolist()) for task in order.tolist()]


def _classes_table(found: Failures, table: EmbeddingTable) -> Table:
    rows = []
    for number, values in found.classes(_MIN_TASKS)[: 2 * _LISTED]:
        interval = _interval(values)
        half_width = f" ± {100 * interval['half_width']:.1f}" if "half_width" in interval else ""
        rows.append([table.class_names[number], f"{100 * interval['mean']:.1f}{half_width} %", str(len(values))])
    return Table(["class, worst first", "accuracy", "tasks"], rows)


def _pairs_table(found: Failures, table: EmbeddingTable) -> Table:
    names = table.class_names
    rows = [
        [names[a], names[b], f"{100 * rate:.1f} %", f"{100 * reverse:.1f} %"]
        for a, b, rate, reverse in found.pairs()[:_LISTED]
    ]
    return Table(["class", "mistaken for", "rate", "reverse"], rows)


def _tasks_table(found: Failures, table: EmbeddingTable) -> Table:
    rows = [
        [str(task), f"{100 * found.task_accuracy[task]:.1f} %", ", ".join(table.class_names[c] for c in classes)]
        for task, classes in _worst_tasks(found)
    ]
    return Table(["task, worst first", "accuracy", "classes"], rows)


def _examples_table(found: Failures, table: EmbeddingTable, paths: Any) -> Table:
    rows = []
    for row in found.examples()[:_LISTED].tolist():
        number, place = class_of_row(table, row)
        name = f"number {place}" if paths is None else str(paths[row])
        mistakes = found.row_confusion[row]
        mistaken_for = table.class_names[int(mistakes.argmax())] if mistakes.any() else ""
        accuracy = f"{100 * found.row_correct[row] / found.row_asked[row]:.0f} % of {found.row_asked[row]}"
        rows.append([table.class_names[number], name, accuracy, mistaken_for])
    return Table(["class", "example, worst first", "right", "most often mistaken for"], rows)


def draw_confusion(found: Failures, names: Sequence[str]) -> Any:
    """Draw the rates of confusion; names: of the classes."""
    side = 2.6 + 0.3 * len(names)
    figure = plots.new_figure(side + 0.8, side)
    axes, rates = figure.subplots(), 100 * found.rates()
    drawn = axes.imshow(rates, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(drawn, ax=axes, fraction=0.04, label="%")
    shown = [plots.plain(name if len(name) <= 24 else f"{name[:22]}...") for name in names]
    axes.set_xticks(range(len(names)), shown, rotation=90, fontsize="small")
    axes.set_yticks(range(len(names)), shown, fontsize="small")
    axes.set(xlabel="mistaken for", ylabel="class")
    if len(names) <= 25:
        for row, column in zip(*np.nonzero(~np.isnan(rates)), strict=True):
            color = "white" if rates[row, column] > 55 else "black"
            text = f"{rates[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", fontsize="x-small", color=color)
    return plots.finished(figure)
