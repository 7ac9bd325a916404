"""The adaptation section of the report: scores after each step, and learned learning rates."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from leo_tf.analysis.adaptation import Adaptation, measure_adaptation
from leo_tf.analysis.context import AnalysisContext
from leo_tf.analysis.histograms import draw_histograms
from leo_tf.analysis.section import QUANTILE_HEADER, CaptionedFigure, Section, Table, quantile_cells
from leo_tf.evaluation import plots
from leo_tf.evaluation.intervals import confidence_interval


def section(context: AnalysisContext) -> Section:
    """Return the adaptation Section."""
    target, split = context.target("test"), context.evaluation("test").request.split
    found = measure_adaptation(target)
    on_tasks = f"{len(target.tasks)} {split} tasks"
    rows = [
        [str(latent), str(finetuning), *(_interval(values[row]) for values in found.scores.values())]
        for row, (latent, finetuning) in enumerate(found.steps)
    ]
    tables = [Table(["latent steps", "fine-tuning steps", *target.measures.values()], rows)]
    figures = {
        "steps": CaptionedFigure(
            draw_steps(found, target.measures),
            f"After each step, on the queries of {on_tasks}: first the latent steps, then those of fine-tuning. Bands "
            "are 95 % intervals over tasks.",
        )
    }
    if found.learning_rates:
        rows = [
            [_words(name), *quantile_cells(rates), f"{100 * np.mean(rates < 0):.0f} %"]
            for name, rates in found.learning_rates.items()
        ]
        tables.append(Table(["learned rate", *QUANTILE_HEADER, "below 0"], rows))
        caption = "Learned learning rates, one per dimension. Where one is below 0, steps go uphill in that dimension."
        rates = {_words(name): rates for name, rates in found.learning_rates.items()}
        figures["rates"] = CaptionedFigure(draw_histograms(rates, "dimensions", line=0.0), caption)
    text = [f"Scores of the model before and after each step of adaptation, on {on_tasks}."]
    return Section("Adaptation", text, tables, figures, {**context.describe("test"), **found.summary()})


def _interval(values: np.ndarray) -> str:
    interval = confidence_interval(values)
    return f"{interval.mean:.4f} ± {interval.half_width:.4f}"


def draw_steps(found: Adaptation, labels: Mapping[str, str]) -> Any:
    """Draw the scores of an Adaptation against steps; labels: {measure: axis label}."""
    figure = plots.new_figure(3.6 * len(found.scores), 3.4)
    steps = np.arange(len(found.steps))
    panels = figure.subplots(1, len(labels), squeeze=False).flat
    for axes, (name, values) in zip(panels, found.scores.items(), strict=True):
        means, half_widths = np.transpose([confidence_interval(row) for row in values])
        axes.fill_between(steps, means - half_widths, means + half_widths, color="C0", alpha=0.25, lw=0)
        axes.plot(steps, means, "C0-o", ms=3)
        if 0 < found.latent_steps < steps[-1]:
            axes.axvline(found.latent_steps, color="0.6", ls=":")
        axes.set(xlabel="steps taken", ylabel=labels[name], xticks=steps)
    return plots.finished(figure)


def _words(name: str) -> str:
    return name.replace("_", " ")
