"""Images of the tasks, pairs of classes and examples that a classifier gets wrong."""

from collections.abc import Sequence

import numpy as np

from leo_tf.analysis.image_sheets import Images, Line, draw_sheet
from leo_tf.analysis.section import CaptionedFigure
from leo_tf.classification.failures import Failures, class_of_row
from leo_tf.classification.tasks import Tasks
from leo_tf.data import EmbeddingTable
from leo_tf.evaluation import plots

_LINES, _PER_LINE = 4, 8


def draw_failure_images(
    found: Failures,
    table: EmbeddingTable,
    tasks: Tasks,
    worst_tasks: Sequence[tuple[int, list[int]]],
    images: Images,
) -> dict[str, CaptionedFigure]:
    """Draw the support examples of the worst tasks, the most confused pairs, and the worst examples.

    Args:
      found: Failures.
      table: EmbeddingTable.
      tasks: Tasks.
      worst_tasks: [(task, its classes)].
      images: Images of the table's rows.
    """
    lines = {
        "worst_tasks": [_task_line(found, table, tasks, *each) for each in worst_tasks[:_LINES]],
        "worst_pairs": [_pair_line(found, table, *pair[:3]) for pair in found.pairs()[:_LINES]],
        "worst_examples": _example_lines(found, table),
    }
    captions = {
        "worst_tasks": "The support examples of the tasks with the lowest accuracy.",
        "worst_pairs": "The queries of one class that are most often mistaken for another, and two examples of that.",
        "worst_examples": "The queries with the lowest accuracy.",
    }
    return {name: CaptionedFigure(draw_sheet(images, lines[name]), caption) for name, caption in captions.items()}


def _task_line(found: Failures, table: EmbeddingTable, tasks: Tasks, task: int, classes: list[int]) -> Line:
    shown = [
        (int(row), _short_name(table.class_names[number]))
        for number, rows in zip(classes, tasks.support_rows[task], strict=True)
        for row in rows
    ]
    return f"task {task}, {100 * found.task_accuracy[task]:.0f} % right", shown[: 3 * _PER_LINE]


def _pair_line(found: Failures, table: EmbeddingTable, a: int, b: int, rate: float) -> Line:
    names, offsets, sizes = table.class_names, table.class_offsets, table.class_sizes
    rows = np.arange(offsets[a], offsets[a] + sizes[a])
    mistakes = found.row_confusion[rows, b]
    order = np.argsort(-mistakes, kind="stable")[:_PER_LINE]
    shown = [(int(rows[each]), f"{mistakes[each]} x") for each in order]
    shown += [(int(row), f"a {_short_name(names[b])}") for row in range(offsets[b], offsets[b] + min(2, sizes[b]))]
    return plots.plain(f"{names[a]} mistaken for {names[b]} ({100 * rate:.0f} %)"), shown


def _example_lines(found: Failures, table: EmbeddingTable) -> list[Line]:
    shown = []
    for row in found.examples()[: 2 * _PER_LINE].tolist():
        name = _short_name(table.class_names[class_of_row(table, row)[0]])
        shown.append((row, f"{name}\n{100 * found.row_correct[row] / found.row_asked[row]:.0f} %"))
    return [("", shown[first : first + _PER_LINE]) for first in range(0, len(shown), _PER_LINE)]


def _short_name(name: str) -> str:
    last = name.rpartition("/")[2]
    return plots.plain(last if len(last) <= 18 else f"{last[:16]}...")
