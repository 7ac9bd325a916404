"""The leave-one-out section of the report: the influence of single support examples."""

from collections.abc import Callable, Mapping
from typing import Any

from leo_tf.analysis.context import AnalysisContext
from leo_tf.analysis.section import QUANTILE_HEADER, CaptionedFigure, Section, Table, quantile_cells, quantiles
from leo_tf.evaluation import plots


def section(context: AnalysisContext, leave_one_out: Callable[[Any], Any], labels: Mapping[str, str]) -> Section:
    """Return the leave-one-out Section.

    leave_one_out: function from an AnalysisTarget to a NamedTuple of arrays [tasks, ...]; labels: {field: description}.
    """
    found, split = leave_one_out(context.target("test")), context.evaluation("test").request.split
    fields = {labels[name]: values for name, values in found._asdict().items()}
    tasks = len(found[0])
    caption = f"Adaptation without a support example compared with all, for every example of {tasks} {split} tasks."
    text = [
        f"The influence of single examples: the model is adapted to {tasks} {split} tasks again with each support "
        "example left out. An example without which the answers get better is untypical of its class, or mislabelled."
    ]
    summary = {**context.describe("test"), "num_tasks": tasks}
    summary |= {name: quantiles(values) for name, values in found._asdict().items()}
    return Section(
        "Leave-one-out influence",
        text,
        [Table(["", *QUANTILE_HEADER], [[name, *quantile_cells(values)] for name, values in fields.items()])],
        {"leave_one_out": CaptionedFigure(plots.draw_histograms(fields, "examples"), caption)},
        summary,
    )
