"""Images of the tasks, pairs of classes and examples that a classifier gets wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leo_tf.analysis.section import CaptionedFigure
from leo_tf.classification.failures import Failures, class_of_row
from leo_tf.classification.tasks import Tasks
from leo_tf.data import EmbeddingTable
from leo_tf.errors import InputError, require_package
from leo_tf.evaluation import plots
from leo_tf.files import expanded

_SIDE = 160  # pixels of a thumbnail
_LINES, _PER_LINE = 4, 8
Line = tuple[str, list[tuple[int, str]]]  # text above the line, [(row, text above the image)]


class Images:
    """The images behind embeddings, in the folder that these were extracted from.

    paths: of each row's image in that folder, text [rows]; None where the embeddings do not keep them.
    """

    def __init__(self, folder: str, paths: Any) -> None:
        require_package("PIL", "Showing images")
        self._folder, self._paths = expanded(folder), paths
        if paths is None:
            raise InputError(
                f"Got images={folder}, but the embeddings do not keep the paths of their images; expected embeddings "
                "that python -m leo_tf.features.extract wrote in its npz layout. Leave images out.",
                "images",
            )
        if not self._path(0).is_file():
            raise InputError(
                f"Got images={folder}, where there is no {paths[0]}; give the folder that the embeddings were "
                "extracted from.",
                "images",
            )

    def _path(self, row: int) -> Path:
        return self._folder / self._paths[row]

    def thumbnail(self, row: int) -> Any:
        """Return a small PIL.Image of a row."""
        from PIL import Image

        from leo_tf.files.pixels import open_image, upright_rgb

        try:
            small = Image.fromarray(upright_rgb(open_image(self._path(row).read_bytes())))
        except (OSError, ValueError) as error:
            raise InputError(
                f"Cannot read the image {self._path(row)} ({error}); restore the file that was extracted, or leave out "
                "images.",
                "images",
            ) from None
        small.thumbnail((_SIDE, _SIDE))
        return small


def draw_failure_images(
    found: Failures, table: EmbeddingTable, tasks: Tasks, worst_tasks: Sequence[int], images: Images
) -> dict[str, CaptionedFigure]:
    """Draw the support examples of the worst tasks, the most confused pairs, and the worst examples."""
    drawn = {
        "worst_tasks": (
            [_task_line(found, table, tasks, task) for task in worst_tasks[:_LINES]],
            "The support examples of the tasks with the lowest accuracy.",
        ),
        "worst_pairs": (
            [_pair_line(found, table, *pair[:3]) for pair in found.pairs()[:_LINES]],
            "The queries of one class that are most often mistaken for another, and two examples of that.",
        ),
        "worst_examples": (_example_lines(found, table), "The queries with the lowest accuracy."),
    }
    return {name: CaptionedFigure(_draw_lines(images, lines), caption) for name, (lines, caption) in drawn.items()}


def _task_line(found: Failures, table: EmbeddingTable, tasks: Tasks, task: int) -> Line:
    shown = [
        (int(row), _short_name(table.class_names[number]))
        for number, rows in zip(tasks.class_ids[task], tasks.support_rows[task], strict=True)
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


def _draw_lines(images: Images, lines: Sequence[Line]) -> Any:
    columns = max(len(shown) for _, shown in lines)
    figure = plots.new_figure(1.35 * columns + 0.4, 1.75 * len(lines))
    grid = figure.subplots(len(lines), columns, squeeze=False)
    for line, (title, shown) in zip(grid, lines, strict=True):
        for axes, (row, text) in zip(line, shown, strict=False):
            axes.imshow(images.thumbnail(row), cmap="gray")
            axes.set_title(text, fontsize="x-small")
        for axes in line:
            axes.axis("off")
        line[0].text(0, 1.32, title, transform=line[0].transAxes, fontsize="small", va="bottom")
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.02, top=1 - 0.5 / figure.get_figheight(), hspace=0.65)
    return figure
