"""The sections of the report that only a regression run has: interpolation between codes, and failures."""

import numpy as np

from leo_tf.analysis.context import AnalysisContext
from leo_tf.analysis.section import CaptionedFigure, Section, Table, format_number, quantiles
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.regression.failures import draw_failures, find_failures
from leo_tf.regression.interpolation import PAIRS, draw_interpolation, interpolate

_LISTED = 10


def interpolation(context: AnalysisContext) -> Section:
    """Return the Section on functions decoded between codes."""
    target, split = context.target("val"), context.evaluation("val").request.split
    found = interpolate(target)
    sinusoid_like = found.sinusoid_like()
    rows = [
        [name, ", ".join("sinusoid" if each else "line" for each in of_pair)]
        for name, of_pair in zip(PAIRS, sinusoid_like, strict=True)
    ]
    caption = (
        f"Functions decoded at {len(found.fractions)} equal steps from the adapted code of one {split} task (dark) to "
        "that of another (light), and the true functions of both (dotted)."
    )
    summary = {
        "tasks": found.tasks.tolist(),
        "fractions": found.fractions.tolist(),
        "sinusoid_like": sinusoid_like.tolist(),
        "squared_error_at_ends": np.mean((found.functions[:, [0, -1]] - found.truth) ** 2, axis=2).tolist(),
    }
    return Section(
        "Interpolation",
        ["Functions decoded between two codes, and the family that fits each more closely."],
        [Table(["from, to", "closer family, step by step"], rows)],
        {"interpolation": CaptionedFigure(draw_interpolation(found), caption)},
        {**context.describe("val"), **summary},
    )


def failures(context: AnalysisContext) -> Section:
    """Return the failures Section: the tasks with the largest errors."""
    target, split = context.target("test"), context.evaluation("test").request.split
    found, families, values = find_failures(target), target.labels["family"], target.values
    intervals = {name: confidence_interval(found.squared_error[families == name]) for name in sorted(set(families))}
    rows = [
        [
            str(task),
            str(families[task]),
            *("" if np.isnan(each[task]) else format_number(each[task]) for each in values.values()),
            format_number(found.squared_error[task]),
        ]
        for task in found.order[:_LISTED].tolist()
    ]
    tables = [
        Table(
            ["family", "squared error"],
            [[name, f"{each.mean:.3f} ± {each.half_width:.3f}"] for name, each in intervals.items()],
        ),
        Table(["task, worst first", "family", *values, "squared error"], rows),
    ]
    caption = f"The worst of {len(target.tasks)} {split} tasks. Squared errors are against the function without noise."
    summary = {
        "squared_error": quantiles(found.squared_error),
        "families": {name: each._asdict() for name, each in intervals.items()},
        "worst": [
            {"task": task, "squared_error": float(found.squared_error[task])} for task in found.order[:100].tolist()
        ],
    }
    return Section(
        "Failures",
        [f"The {split} tasks with the largest errors after adaptation without noise."],
        tables,
        {"worst_functions": CaptionedFigure(draw_failures(found, target), caption)},
        {**context.describe("test"), **summary},
    )
