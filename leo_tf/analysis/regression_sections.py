"""The sections of the report that only a regression run has: interpolation between codes, and failures."""

from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf.analysis.context import AnalysisContext
from leo_tf.analysis.section import CaptionedFigure, Section, Table, format_number, quantiles
from leo_tf.evaluation import plots
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.regression.analysis_target import RegressionTarget
from leo_tf.regression.episodes import INPUT
from leo_tf.regression.tasks import grid, looks_sinusoid

_LISTED, _STORED, _DRAWN = 10, 100, 6
_PAIRS = ("a sinusoid to a line", "two sinusoids", "two lines")
_FRACTIONS = np.linspace(0, 1, 9, dtype=np.float32)  # of the way from one code to the other


def interpolation(context: AnalysisContext) -> Section:
    """Return the Section on functions decoded between codes, which shows what fills the latent space."""
    target, split = context.target("val"), context.evaluation("val").request.split
    sinusoids, lines = (np.flatnonzero(target.tasks.is_sinusoid == each)[:2] for each in (True, False))
    pairs = np.array([[sinusoids[0], lines[0]], sinusoids, lines])
    functions, truth = _interpolate(target, pairs)
    sinusoid_like = looks_sinusoid(functions, grid())
    rows = [
        [name, ", ".join("sinusoid" if each else "line" for each in of_pair)]
        for name, of_pair in zip(_PAIRS, sinusoid_like, strict=True)
    ]
    caption = (
        f"Functions decoded at {len(_FRACTIONS)} equal steps from the adapted code of one {split} task (dark) to "
        "that of another (light), and the true functions of both (dotted)."
    )
    summary = {
        "tasks": pairs.tolist(),
        "fractions": _FRACTIONS.tolist(),
        "sinusoid_like": sinusoid_like.tolist(),
        "squared_error_at_ends": np.mean((functions[:, [0, -1]] - truth) ** 2, axis=2).tolist(),
    }
    return Section(
        "Interpolation",
        ["Functions decoded between two codes, and the family that fits each more closely."],
        [Table(["from, to", "closer family, step by step"], rows)],
        {"interpolation": CaptionedFigure(_draw_interpolation(functions, truth), caption)},
        {**context.describe("val"), **summary},
    )


def _interpolate(target: RegressionTarget, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return functions [pairs, steps, 100] decoded between codes of pairs of tasks, and true ones [pairs, 2, 100]."""
    some = target.tasks.take(pairs.ravel())
    trace = target.learner.trace(*(tf.constant(values) for values in some.support(target.shots)))
    codes = trace.latents[-1].numpy().reshape(len(pairs), 2, -1)
    between = codes[:, :1] + _FRACTIONS[:, np.newaxis] * (codes[:, 1:] - codes[:, :1])
    decoded = target.learner.decoder.mean(tf.constant(between.reshape(-1, codes.shape[-1])))
    functions = target.functions(decoded).reshape(len(pairs), len(_FRACTIONS), -1)
    return functions, some.truth.reshape(len(pairs), 2, -1)


def _draw_interpolation(functions: np.ndarray, truth: np.ndarray) -> Any:
    from matplotlib import colormaps

    figure, colors = plots.new_figure(12.5, 4.0), colormaps["viridis"]
    for axes, title, decoded, ends in zip(figure.subplots(1, 3), _PAIRS, functions, truth, strict=True):
        for fraction, values in zip(_FRACTIONS, decoded, strict=True):
            axes.plot(grid(), values, color=colors(float(fraction)), lw=1.2)
        for fraction, values in zip((0.0, 1.0), ends, strict=True):
            axes.plot(grid(), values, color=colors(fraction), ls=":", lw=2.2)
        axes.set(xlim=INPUT, title=title)
    return plots.finished(figure)


def failures(context: AnalysisContext) -> Section:
    """Return the failures Section: the tasks with the largest errors."""
    target, split = context.target("test"), context.evaluation("test").request.split
    functions, families, values = target.adapted_functions(), target.labels["family"], target.values
    errors = np.mean((functions - target.tasks.truth) ** 2, axis=1)
    worst = np.argsort(-errors, kind="stable")[:_STORED].tolist()
    intervals = {name: confidence_interval(errors[families == name]) for name in sorted(set(families))}
    of_families = [[name, f"{each.mean:.3f} ± {each.half_width:.3f}"] for name, each in intervals.items()]
    rows = [
        [
            str(task),
            str(families[task]),
            *("" if np.isnan(each[task]) else format_number(each[task]) for each in values.values()),
            format_number(errors[task]),
        ]
        for task in worst[:_LISTED]
    ]
    tables = [
        Table(["family", "squared error"], of_families),
        Table(["task, worst first", "family", *values, "squared error"], rows),
    ]
    caption = f"The worst of {len(target.tasks)} {split} tasks. Squared errors are against the function without noise."
    summary = {
        "squared_error": quantiles(errors),
        "families": {name: each._asdict() for name, each in intervals.items()},
        "worst": [{"task": task, "squared_error": float(errors[task])} for task in worst],
    }
    return Section(
        "Failures",
        [f"The {split} tasks with the largest errors after adaptation without noise."],
        tables,
        {"worst_functions": CaptionedFigure(_draw_tasks(target, functions, errors, worst[:_DRAWN]), caption)},
        {**context.describe("test"), **summary},
    )


def _draw_tasks(target: RegressionTarget, functions: np.ndarray, errors: np.ndarray, tasks: list[int]) -> Any:
    support_x, support_y = target.tasks.support(target.shots)
    figure = plots.new_figure(11.0, 5.6)
    for axes, task in zip(figure.subplots(2, 3).flat, tasks, strict=False):
        axes.plot(grid(), target.tasks.truth[task], color="black", label="true function")
        axes.plot(grid(), functions[task], color="C0", label="adapted")
        axes.plot(support_x[task, :, 0], support_y[task, :, 0], "o", mfc="none", mec="red", label="support")
        axes.set(xlim=INPUT)
        axes.set_title(f"task {task}: squared error {errors[task]:.3g}", fontsize="small")
    figure.axes[0].legend(frameon=False, fontsize="small")
    return plots.finished(figure)
