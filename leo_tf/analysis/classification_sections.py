"""The sections of the report that only a classification run has: calibration and failures."""

from typing import Any

import numpy as np

from leo_tf.analysis.context import AnalysisContext
from leo_tf.analysis.failure_images import Images, draw_failure_images
from leo_tf.analysis.section import CaptionedFigure, Section, Table
from leo_tf.classification.calibration import calibrate
from leo_tf.classification.failures import Failures, class_of_row, find_failures
from leo_tf.data import EmbeddingTable
from leo_tf.data.image_paths import image_paths
from leo_tf.evaluation import plots
from leo_tf.evaluation.calibration import reliability_diagram
from leo_tf.evaluation.intervals import confidence_interval

_LISTED, _STORED, _MOST_CLASSES = 10, 100, 60
_MIN_TASKS = 5  # of a class that is listed


def calibration(context: AnalysisContext) -> Section:
    """Return the calibration Section."""
    evaluation = context.evaluation("test")
    found, split = calibrate(context.learner, evaluation.table, evaluation.tasks), evaluation.request.split
    figure = reliability_diagram(found, f"{evaluation.config.data.dataset_name} {split}")
    caption = (
        f"Accuracy against confidence, the highest probability, over all queries of {len(evaluation.tasks)} {split} "
        f"tasks, in {len(found.bin_count)} equal bins. On the dashed line, 70 % of the answers given with a confidence "
        "of 70 % are right."
    )
    summary = {**context.describe("test"), **found.summary()}
    return Section("Calibration", [f"{found}."], [], {"reliability": CaptionedFigure(figure, caption)}, summary)


def failures(context: AnalysisContext) -> Section:
    """Return the failures Section."""
    target, split = context.target("test"), context.evaluation("test").request.split
    table, images, found = target.table, load_images(context), find_failures(target)
    percent = 100 * found.task_accuracy
    histogram = plots.draw_histograms({"accuracy of a task, %": percent}, "tasks", line=percent.mean())
    figures = {
        "task_accuracy": CaptionedFigure(histogram, f"Accuracy of {len(percent)} tasks; the line is at the mean.")
    }
    if table.num_classes <= _MOST_CLASSES:
        caption = (
            "How often a query of the row's class is mistaken for the column's, in tasks that have both; the accuracy "
            "on the diagonal. Blank where no task has both."
        )
        figures["confusion"] = CaptionedFigure(_draw_confusion(found, table), caption)
    summary = _summarize(found, table, _paths(context))
    if images is not None:
        worst = [each["task"] for each in summary["tasks"]]
        figures |= draw_failure_images(found, table, target.tasks, worst, images)
    text = [
        f"The tasks, classes, pairs of classes and examples with the lowest accuracy, over {len(target.tasks)} {split} "
        "tasks with all their queries. The accuracy of a class depends on the other classes of its tasks. An example "
        "that is nearly always answered wrong may be mislabelled."
    ]
    tables = [_classes_table(found, table), *_tables(summary)]
    return Section("Failures", text, tables, figures, {**context.describe("test"), **summary})


def load_images(context: AnalysisContext) -> Images | None:
    """Return the Images of the context's folder, None without one; raises as they do."""
    return Images(context.images, _paths(context)) if context.images else None


def _paths(context: AnalysisContext) -> Any:
    evaluation = context.evaluation("test")
    data, split = evaluation.config.data, evaluation.request.split
    return image_paths(data.data_path, data.dataset_name, data.embedding_crop, split, evaluation.table)


def _summarize(found: Failures, table: EmbeddingTable, paths: Any) -> dict[str, Any]:
    """Return Failures as a plain dict for JSON, everything with the worst first."""
    names = table.class_names
    worst_tasks = np.argsort(found.task_accuracy, kind="stable")[:_LISTED].tolist()
    examples = []
    for row in found.examples()[:_STORED].tolist():
        (number, place), mistakes = class_of_row(table, row), found.row_confusion[row]
        examples.append({
            "class": names[number],
            "number_in_class": place,
            **({} if paths is None else {"image": str(paths[row])}),
            "asked": int(found.row_asked[row]),
            "accuracy": float(found.row_correct[row] / found.row_asked[row]),
            "mistaken_for": names[int(mistakes.argmax())] if mistakes.any() else "",
        })  # fmt: skip
    return {
        "accuracy": confidence_interval(found.task_accuracy)._asdict(),
        "classes": {names[number]: _interval(values) for number, values in found.classes()},
        "pairs": [
            {"class": names[a], "mistaken_for": names[b], "rate": rate, "reverse_rate": reverse}
            for a, b, rate, reverse in found.pairs()[:_STORED]
        ],
        "confusion": {
            "classes": list(names),
            "rates": [[None if np.isnan(v) else float(v) for v in row] for row in found.rates()],
        },
        "tasks": [
            {
                "task": task,
                "accuracy": float(found.task_accuracy[task]),
                "classes": [names[number] for number in found.class_ids[task]],
            }
            for task in worst_tasks
        ],
        "examples": examples,
    }


def _interval(values: np.ndarray) -> dict[str, float]:
    interval = confidence_interval(values)._asdict() if len(values) > 1 else {"mean": float(values.mean())}
    return {**interval, "tasks": len(values)}


def _classes_table(found: Failures, table: EmbeddingTable) -> Table:
    rows = []
    for number, values in found.classes(_MIN_TASKS)[: 2 * _LISTED]:
        interval = _interval(values)
        half_width = f" ± {100 * interval['half_width']:.1f}" if "half_width" in interval else ""
        rows.append([table.class_names[number], f"{100 * interval['mean']:.1f}{half_width} %", str(len(values))])
    return Table(["class, worst first", "accuracy", "tasks"], rows)


def _tables(summary: dict[str, Any]) -> list[Table]:
    """Return the tables of the worst pairs of classes, tasks and examples in a summary."""
    pairs = [
        [each["class"], each["mistaken_for"], f"{100 * each['rate']:.1f} %", f"{100 * each['reverse_rate']:.1f} %"]
        for each in summary["pairs"][:_LISTED]
    ]
    tasks = [
        [str(each["task"]), f"{100 * each['accuracy']:.1f} %", ", ".join(each["classes"])] for each in summary["tasks"]
    ]
    examples = [
        [
            each["class"],
            each.get("image", f"number {each['number_in_class']}"),
            f"{100 * each['accuracy']:.0f} % of {each['asked']}",
            each["mistaken_for"],
        ]
        for each in summary["examples"][:_LISTED]
    ]
    return [
        Table(["class", "mistaken for", "rate", "reverse"], pairs),
        Table(["task, worst first", "accuracy", "classes"], tasks),
        Table(["class", "example, worst first", "right", "most often mistaken for"], examples),
    ]


def _draw_confusion(found: Failures, table: EmbeddingTable) -> Any:
    names = [plots.plain(name if len(name) <= 24 else f"{name[:22]}...") for name in table.class_names]
    side = 2.6 + 0.3 * len(names)
    figure = plots.new_figure(side + 0.8, side)
    axes, rates = figure.subplots(), 100 * found.rates()
    drawn = axes.imshow(rates, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(drawn, ax=axes, fraction=0.04, label="%")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize="small")
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.set(xlabel="mistaken for", ylabel="class")
    if len(names) <= 25:
        for row, column in zip(*np.nonzero(~np.isnan(rates)), strict=True):
            color = "white" if rates[row, column] > 55 else "black"
            text = f"{rates[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", fontsize="x-small", color=color)
    return plots.finished(figure)
