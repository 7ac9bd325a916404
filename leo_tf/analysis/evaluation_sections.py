"""Calibration and accuracy by ways and shots in the report: what evaluate.py --analysis also gives."""

from leo_tf.analysis import figures
from leo_tf.analysis.curves import default_grid, shape_grid
from leo_tf.analysis.section import Picture, Section, Table
from leo_tf.classification.calibration import calibrate
from leo_tf.evaluation.calibration import reliability_diagram


def calibration(analysed):
    """Return the Section on calibration."""
    evaluation = analysed.evaluation("test")
    found, split = calibrate(analysed.learner, evaluation.table, evaluation.tasks), evaluation.request.split
    caption = (
        f"Accuracy against confidence, the highest probability, over all queries of {len(evaluation.tasks)} {split} "
        "tasks, in 15 equal bins. On the dashed line a confidence of 70 % is right 70 % of the time."
    )
    figure = reliability_diagram(found, f"{evaluation.config.data.dataset_name} {split}")
    summary = {**analysed.about("test"), **found.summary()}
    return Section("Calibration", [f"{found}."], [], {"reliability": Picture(figure, caption)}, summary)


def grid(analysed):
    """Return the Section on accuracy by ways and shots."""
    evaluation, tasks = analysed.evaluation("test"), analysed.evaluation("test").tasks
    table = evaluation.table
    ways, shots = default_grid(table)
    results = shape_grid(
        analysed.learner,
        table,
        ways,
        shots,
        num_tasks=len(tasks),
        batch_size=evaluation.config.training.metatest_batch_size,
        seed=evaluation.request.seed,
    )
    rows = [
        [
            str(r.ways),
            str(r.shots),
            r.accuracy.percent().replace("+-", "±"),
            r.nearest_class_mean.percent().replace("+-", "±"),
        ]
        for r in results
    ]
    caption = f"Accuracy by ways and shots, {len(tasks)} tasks each, with 95 % intervals over tasks."
    return Section(
        "Ways and shots",
        ["The model on tasks of other shapes than it was trained for, beside nearest class mean on the same tasks."],
        [Table(["ways", "shots", analysed.name, "nearest class mean"], rows)],
        {"grid": Picture(figures.grid_plot(results, ""), caption)},
        {**analysed.about("test"), "cells": [_without_time(result.summary()) for result in results]},
    )


def _without_time(summary):
    """Return a result's summary without what differs from one evaluation to the next."""
    return {name: value for name, value in summary.items() if name != "seconds"}
