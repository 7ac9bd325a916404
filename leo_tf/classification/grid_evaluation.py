"""Evaluation of a classification learner on tasks of many ways and shots, and of unequal shots."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from leo_tf.classification.evaluation import ClassificationEvaluation
from leo_tf.classification.grid import grid_ways
from leo_tf.classification.results import EvaluationResult
from leo_tf.classification.tasks import Tasks, draw_from, draw_unequal
from leo_tf.classification.unknown_tasks import UnknownAuroc, unknown_auroc
from leo_tf.data import EpisodeSampler, most_ways
from leo_tf.errors import InputError
from leo_tf.evaluation import plots
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.files import npz
from leo_tf.problem import EvaluationReport

_SHOTS = (1, 2, 5, 10, 20, 50)
_MOST_UNEQUAL = 20  # shots
_MOST_QUERIES, _FEWEST_QUERIES = 15, 5  # per class
_AUROC_TASKS = 200


@dataclasses.dataclass(frozen=True, eq=False)
class GridCell:
    """Result on tasks of one shape."""

    result: EvaluationResult
    unequal: bool  # whether a class has 1 to `result.shots` examples, drawn uniformly
    auroc: UnknownAuroc | None  # of telling queries of shown classes from others; None if all classes are shown

    @property
    def shots(self) -> str:
        return f"1-{self.result.shots}" if self.unequal else str(self.result.shots)

    def summary(self) -> dict[str, Any]:
        names = ("accuracy", "loss", "difference_to_best_baseline", "baselines")
        found = self.result.summary()
        auroc = {name: each and each._asdict() for name, each in self.auroc._asdict().items()} if self.auroc else None
        return {"ways": self.result.ways, "shots": self.shots, **{n: found[n] for n in names}, "unknown_auroc": auroc}


@dataclasses.dataclass(frozen=True, eq=False)
class GridResult:
    """Results on the tasks of every shape; `save` stores the accuracies task by task."""

    cells: Sequence[GridCell]
    shots_evaluated = ()  # a grid is not compared with other evaluations

    def summary(self) -> dict[str, Any]:
        first = self.cells[0].result
        digests = " ".join(cell.result.tasks_digest for cell in self.cells)
        return {
            **{name: getattr(first, name) for name in ("algorithm", "model_fingerprint", "data_digest", "num_tasks")},
            "tasks_digest": hashlib.sha256(digests.encode()).hexdigest(),
            "seconds": sum(cell.result.seconds for cell in self.cells),
            "cells": [cell.summary() for cell in self.cells],
        }

    def save(self, path: str | Path) -> None:
        """Write an npz file of the accuracies [tasks] of each shape, `5-way 1-shot` and so on."""
        npz.write(path, **{f"{c.result.ways}-way {c.shots}-shot": c.result.task_accuracy for c in self.cells})

    def __str__(self) -> str:
        first = self.cells[0].result
        header = ("ways", "shots", first.algorithm, "difference", "to the best baseline", "unknown")
        rows = [header, *(_row(cell) for cell in self.cells)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(f"{text:<{n}}" for text, n in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join(
            [
                f"{first.algorithm}, {first.num_tasks} tasks of each shape, 95 % confidence intervals; differences in "
                "points, paired over tasks; unknown: area under the ROC curve, %, of telling queries of classes that "
                "were not shown",
                *lines,
            ]
        )


def _row(cell: GridCell) -> tuple[str, ...]:
    result, best = cell.result, cell.result.best_baseline
    difference = result.difference_to_best_baseline.difference
    unknown = ""
    if cell.auroc:
        by = cell.auroc.log_odds or cell.auroc.softmax
        unknown = f"{100 * by.mean:.1f}"
    return (
        *(str(result.ways), cell.shots, result.accuracy.percent()),
        f"{100 * difference.mean:+.2f} +- {100 * difference.half_width:.2f}",
        f"{best} {result.baselines[best].percent()}",
        unknown,
    )


class GridEvaluation(ClassificationEvaluation):
    """Accuracy on tasks of few ways and many, of 1 to 50 shots as far as classes have examples, and of unequal shots.

    A task has up to 15 queries per class.
    """

    result_type = GridResult
    default_tasks = 1000

    def _set_up(self) -> None:
        self.request = dataclasses.replace(self.request, baselines=self.request.baselines or ("all",))
        super()._set_up()

    @property
    def name(self) -> str:
        return f"{super().name}-grid"

    @functools.cached_property
    def tasks(self) -> Any:
        raise InputError("A grid has tasks of many shapes; leave out what is about one.", "grid")

    def run(self, learner: Any, title: str = "", workers: Any = SINGLE_PROCESS) -> EvaluationReport:
        """See Evaluation; the chief alone measures how well unknown classes are told, and draws."""
        cells, choices = [], {}
        for ways in self._ways(learner):
            for tasks in self._drawn(ways):
                result, _, _, summary, _ = self.run_on(tasks, learner, workers)
                auroc = None if tasks.unequal or not workers.is_chief else self._auroc(learner, tasks)
                cells.append(GridCell(result, tasks.unequal, auroc))
                choices[f"{ways}-way {cells[-1].shots}-shot"] = summary["baseline_choices"]
        figures = {"accuracy": draw(cells)} if plots.can_draw() else {}
        return EvaluationReport(GridResult(cells), (), "", {"baseline_choices": choices}, figures)

    def _ways(self, learner: Any) -> list[int]:
        episodes = self.config.episodes
        several = grid_ways(self.table, episodes.num_classes, episodes.tasks_within)
        return several if learner.fixed_ways is None else [learner.fixed_ways]

    def _drawn(self, ways: int) -> Iterator[Tasks]:
        """Yield the Tasks of each number of shots that test and validation classes allow, then of unequal shots."""
        table, seed, count = self.table, self.request.seed, self._num_tasks
        # Baselines are tuned on validation tasks of the same shots.
        smallest = int(min(table.class_sizes.min(), self.validation_table.class_sizes.min()))

        def sampler(shots: int) -> EpisodeSampler:
            queries = max(1, min(_MOST_QUERIES, smallest - shots))
            return EpisodeSampler(table, ways, shots, queries, self.config.episodes.tasks_within)

        several = [shots for shots in _SHOTS if shots + _FEWEST_QUERIES <= smallest] or [1]
        for shots in several:
            yield draw_from(sampler(shots), table.digest, count, seed)
        if several[-1] > 1:
            yield draw_unequal(sampler(min(_MOST_UNEQUAL, several[-1])), table.digest, count, seed)

    def _auroc(self, learner: Any, tasks: Tasks) -> UnknownAuroc | None:
        within = self.config.episodes.tasks_within
        if most_ways(self.table, tasks.ways, within) <= tasks.ways:
            return None
        count = min(len(tasks), _AUROC_TASKS)
        return unknown_auroc(learner, self.table, tasks.ways, tasks.shots, count, self.request.seed, within)

    def advice(self, result: Any, best_step: int, last_step: int | None) -> str:
        """Name the shapes at which a baseline is better beyond the interval of the paired difference."""
        below = []
        for cell in result.cells:
            mean, half_width = cell.result.difference_to_best_baseline.difference
            if mean + half_width < 0:
                below.append(f"{cell.result.ways}-way {cell.shots}-shot")
        algorithm = result.cells[0].result.algorithm
        return f"{algorithm} is below the best baseline at {', '.join(below)}" if below else ""


def draw(cells: Sequence[GridCell]) -> Any:
    """Draw accuracy against shots: the model's, and dotted the best baseline's, with a colour for each ways."""
    figure = plots.new_figure(6.8, 3.8)
    axes = figure.subplots()
    equal = [cell.result for cell in cells if not cell.unequal]
    for index, ways in enumerate(sorted({result.ways for result in equal})):
        row = [result for result in equal if result.ways == ways]
        for label, intervals, line in (
            (row[0].algorithm, [result.accuracy for result in row], "o-"),
            ("best baseline", [result.baselines[result.best_baseline] for result in row], "x:"),
        ):
            means, half_widths = ([100 * part for part in parts] for parts in zip(*intervals, strict=True))
            style = {"color": f"C{index}", "ms": 3, "capsize": 2}
            axes.errorbar([r.shots for r in row], means, half_widths, fmt=line, label=f"{ways}-way {label}", **style)
    shots = sorted({result.shots for result in equal})
    axes.set_xscale("log")
    axes.set_xticks(shots, [str(value) for value in shots])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="shots", ylabel="accuracy, %")
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return plots.finished(figure)
