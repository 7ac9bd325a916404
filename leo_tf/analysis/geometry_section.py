"""The curvature and coverage section of the report."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from leo_tf.analysis.context import AnalysisContext, model_name
from leo_tf.analysis.geometry import POINTS, Geometry, check_claims, measure_geometry
from leo_tf.analysis.section import QUANTILE_HEADER, CaptionedFigure, Section, Table, quantile_cells, quantiles
from leo_tf.evaluation import plots

_SPACES = {"latents": ("latent", "C0"), "parameters": ("parameter", "C1")}  # names and colours
_STEPS = {
    "latent": ("latent\nstep", "C0"),
    "induced": ("latent step\nin parameters", "C1"),
    "parameter": ("parameter\nstep", "C1"),
}


def section(context: AnalysisContext) -> Section:
    """Return the curvature and coverage Section of the run and of those that it is compared with."""
    evaluation = context.evaluation("test")
    models = {model_name(context.learner): context.learner, **context.others}
    found = [measure_geometry(evaluation.analysis_target(learner), name) for name, learner in models.items()]
    claims, tasks = check_claims(found), len(evaluation.tasks)
    boxes = {
        (space, point): (f"{name}\n{point}", color) for space, (name, color) in _SPACES.items() for point in POINTS
    }
    figures = {
        "curvature": CaptionedFigure(
            _draw_panels({each.name: each.eigenvalues for each in found}, boxes, "absolute eigenvalue"),
            f"Absolute non-zero eigenvalues of the Hessian of the support loss on {tasks} tasks: in latent space at "
            "the start and after the latent steps, in parameter space at the start and after all steps. Boxes from the "
            "25th to the 75th percentile, whiskers at the 5th and 95th.",
        )
    }
    if singular := {each.name: each.singular_values for each in found if each.singular_values is not None}:
        caption = "Singular values of the decoder's mean; above 1 it expands space. Whiskers as above."
        of_models = {name: (name, "C0") for name in singular}
        drawn = _draw_panels({"Coverage: the decoder": singular}, of_models, "singular value")
        figures["singular_values"] = CaptionedFigure(drawn, caption)
    if any(each.steps for each in found):
        caption = (
            f"Lengths of all adaptation steps on {tasks} tasks, each over all numbers of a task, and of the changes of "
            "the decoded parameters by latent steps. Whiskers as above."
        )
        steps = {each.name: each.steps for each in found if each.steps}
        figures["step_lengths"] = CaptionedFigure(_draw_panels(steps, _STEPS, "length"), caption)
    text = [
        f"The support loss of {tasks} {evaluation.request.split} tasks, as in the paper's section 4.6: its curvature "
        "in the space of codes and in that of parameters, the decoder's expansion of space, and the lengths of "
        "steps. The Hessian is exact, at the start of adaptation and at its end.",
        *(f"**{each.claim} {each.verdict}.** {each.finding}" for each in claims),
        *_missing_evidence(found),
    ]
    summary = {
        **context.describe("test"),
        "claims": [each.summary() for each in claims],
        "models": {each.name: _summarize(each) for each in found},
    }
    return Section("Curvature and coverage", text, [_eigenvalue_table(found), _step_table(found)], figures, summary)


def _missing_evidence(found: Sequence[Geometry]) -> Iterator[str]:
    """Yield sentences on the claims that these models are no evidence on, and why."""
    decoding = [each for each in found if each.singular_values is not None]
    for each in decoding:
        if not each.eigenvalues["latents", "start"].size:
            yield f"The decoder of {each.name} gives every code the same weights, so that its latent space is flat."
    if len(decoding) == len(found):
        yield (
            "To see whether latent steps move the parameters further than steps taken in them directly, compare with a "
            "run of Meta-SGD or MAML on the same data (--compare_to)."
        )


def _summarize(found: Geometry) -> dict[str, Any]:
    return {
        "absolute_eigenvalues": {f"{space}_{point}": quantiles(v) for (space, point), v in found.eigenvalues.items()},
        "ranks": {f"{space}_{point}": quantiles(v) for (space, point), v in found.ranks.items()},
        "singular_values": None if found.singular_values is None else quantiles(found.singular_values),
        "step_lengths": {
            kind: {"all": quantiles(lengths), "by_step_median": np.median(lengths, axis=1).tolist()}
            for kind, lengths in found.steps.items()
        },
    }


def _draw_panels(models: Mapping[str, Mapping[Any, np.ndarray]], boxes: Mapping[Any, tuple], ylabel: str) -> Any:
    """Draw a panel of boxes for each of {title: {key: values}}; boxes: {key: (label, color)}, in order.

    Whiskers reach from the 5th to the 95th percentile.
    """
    counts = [len(values) for values in models.values()]
    figure = plots.new_figure(1.2 + 1.3 * sum(counts), 4.2)
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False, width_ratios=counts)
    for axes, (name, values) in zip(panels.flat, models.items(), strict=True):
        keys = [key for key in boxes if key in values]
        drawn = axes.boxplot(
            [np.ravel(values[key]) for key in keys],
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            widths=0.6,
            medianprops={"color": "black"},
        )
        axes.set_xticks(range(1, len(keys) + 1), [boxes[key][0] for key in keys])
        for box, key in zip(drawn["boxes"], keys, strict=True):
            box.set(facecolor=boxes[key][1], alpha=0.5)
        if any(np.max(values[key], initial=0) > 0 for key in keys):
            axes.set_yscale("log")
            axes.grid(axis="y", which="major", lw=0.4)
        axes.set_title(name, fontsize="medium")
    panels[0, 0].set_ylabel(ylabel)
    return plots.finished(figure)


def _eigenvalue_table(found: Sequence[Geometry]) -> Table:
    rows = []
    for model in found:
        for (space, point), values in model.eigenvalues.items():
            ranks = model.ranks[space, point]
            low, high = ranks.min(), ranks.max()
            rank = f"{low}" if low == high else f"{low} to {high}"
            rows.append([model.name, _SPACES[space][0], point, str(len(ranks)), rank, *quantile_cells(values)])
    return Table(["model", "space", "point", "tasks", "rank", *QUANTILE_HEADER], rows)


def _step_table(found: Sequence[Geometry]) -> Table:
    rows = [
        [model.name, _STEPS[kind][0].replace("\n", " "), *quantile_cells(lengths)]
        for model in found
        for kind, lengths in model.steps.items()
    ]
    rows += [
        [model.name, "singular value of the decoder", *quantile_cells(model.singular_values)]
        for model in found
        if model.singular_values is not None
    ]
    return Table(["model", "length of", *QUANTILE_HEADER], rows)
