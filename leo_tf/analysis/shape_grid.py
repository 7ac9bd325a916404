"""Accuracy on tasks of other numbers of ways and shots than the model was trained for."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from leo_tf.analysis.context import AnalysisContext
from leo_tf.analysis.section import CaptionedFigure, Section, Table
from leo_tf.classification.evaluation import evaluate_tasks
from leo_tf.classification.evaluator import require_fits
from leo_tf.classification.learner import ClassificationLearner
from leo_tf.classification.results import EvaluationResult
from leo_tf.classification.tasks import draw_tasks
from leo_tf.data import EmbeddingTable, EpisodeSampler
from leo_tf.evaluation import plots

_WAYS, _SHOTS = (5, 10, 20), (1, 5)
_PAIRS_AT_ONCE = 125_000  # of support examples in the relation network: 200 tasks of 5 ways, 5 shots


def section(context: AnalysisContext) -> Section:
    """Return the ways and shots Section."""
    evaluation = context.evaluation("test")
    results = shape_grid(
        context.learner,
        evaluation.table,
        *checked_shapes(context),
        num_tasks=len(evaluation.tasks),
        batch_size=evaluation.config.training.metatest_batch_size,
        seed=evaluation.request.seed,
    )
    rows = [
        [str(r.ways), str(r.shots), *(each.percent().replace("+-", "±") for each in (r.accuracy, r.nearest_class_mean))]
        for r in results
    ]
    caption = f"Accuracy by ways and shots on {len(evaluation.tasks)} tasks each, with 95 % intervals over tasks."
    # Without the one number that differs from one evaluation to the next.
    cells = [{name: value for name, value in r.summary().items() if name != "seconds"} for r in results]
    return Section(
        "Ways and shots",
        ["Accuracy on tasks of other shapes than the model was trained for, beside nearest class mean on the same."],
        [Table(["ways", "shots", context.name, "nearest class mean"], rows)],
        {"grid": CaptionedFigure(draw_grid(results), caption)},
        {**context.describe("test"), "cells": cells},
    )


def checked_shapes(context: AnalysisContext) -> tuple[Sequence[int], Sequence[int]]:
    """Return the ways and the shots to evaluate, those asked for or the default, that fit table and learner."""
    table = context.evaluation("test").table
    default_ways, default_shots = default_grid(table, context.learner.fixed_ways)
    ways, shots = context.ways or default_ways, context.shots or default_shots
    _require_shapes(context.learner, table, ways, shots)
    return ways, shots


def default_grid(table: EmbeddingTable, fixed_ways: int | None = None) -> tuple[list[int], list[int]]:
    """Return the ways and the shots to evaluate, as far as the table has enough classes and examples."""
    ways = [fixed_ways] if fixed_ways else [n for n in _WAYS if n <= table.num_classes] or [table.num_classes]
    return ways, [number for number in _SHOTS if number < table.class_sizes.min()] or [1]


def shape_grid(
    learner: ClassificationLearner,
    table: EmbeddingTable,
    ways: Sequence[int],
    shots: Sequence[int],
    num_tasks: int = 1000,
    batch_size: int = 200,
    seed: int = 0,
) -> list[EvaluationResult]:
    """Evaluate a learner on tasks of every combination of ways and shots, in this order.

    Args:
      num_tasks, seed: of each combination; as in `evaluate`.
      batch_size: most tasks at once; fewer where support sets are large.

    Raises:
      InputError: a shape does not fit the table or the learner, which is found before anything is evaluated.
    """
    _require_shapes(learner, table, ways, shots)
    return [
        evaluate_tasks(
            learner,
            table,
            draw_tasks(table, n, k, num_tasks=num_tasks, seed=seed),
            max(1, min(batch_size, _PAIRS_AT_ONCE // (n * k) ** 2)),
        )
        for n in sorted(set(ways))
        for k in sorted(set(shots))
    ]


def _require_shapes(
    learner: ClassificationLearner, table: EmbeddingTable, ways: Sequence[int], shots: Sequence[int]
) -> None:
    require_fits(learner, table)
    for number in ways:
        learner.require_ways(number)
    EpisodeSampler(table, max(ways), max(shots))


def draw_grid(results: Sequence[EvaluationResult]) -> Any:
    """Draw accuracy against shots, with a line for each number of ways, the model's and nearest class mean's."""
    figure = plots.new_figure(6.8, 3.8)
    axes = figure.subplots()
    for index, ways in enumerate(sorted({result.ways for result in results})):
        row = [result for result in results if result.ways == ways]
        for label, intervals, line in (
            (row[0].algorithm, [result.accuracy for result in row], "o-"),
            ("nearest class mean", [result.nearest_class_mean for result in row], "x:"),
        ):
            means, half_widths = 100 * np.transpose(intervals)
            shots, style = [result.shots for result in row], {"color": f"C{index}", "ms": 3, "capsize": 2}
            axes.errorbar(shots, means, half_widths, fmt=line, label=f"{ways}-way {label}", **style)
    axes.set_xscale("log")
    shots = sorted({result.shots for result in results})
    axes.set_xticks(shots, [str(value) for value in shots])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="shots", ylabel="accuracy, %")
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return plots.finished(figure)
