"""Curvature and coverage in the report."""

import numpy as np

from leo_tf.analysis.boxplots import draw_boxes
from leo_tf.analysis.geometry import POINTS, SPACES, claims, geometry_of
from leo_tf.analysis.section import SPREAD_HEADER, Picture, Section, Table, spread, spread_cells
from leo_tf.evaluation import plots

_IN_WORDS = {"latents": "latent", "parameters": "parameter", "start": "start", "adapted": "adapted"}
_COLORS = {"latents": "C0", "parameters": "C1", "latent": "C0", "induced": "C1", "parameter": "C1"}
_KINDS = {
    "latent": "latent\nstep",
    "induced": "latent step\nin parameters",
    "parameter": "parameter\nstep",
}


def section(analysed):
    """Return the Section on curvature and coverage of a run and of those beside it."""
    subjects = {analysed.name: analysed.subject("test")}
    evaluation = analysed.evaluation("test")
    subjects |= {name: evaluation.subject(learner) for name, learner in analysed.others.items()}
    found = [geometry_of(subject, name) for name, subject in subjects.items()]
    judged = claims(found)
    tasks = len(evaluation.tasks)
    pictures = {"curvature": Picture(curvature_figure(found), _curvature_caption(tasks))}
    if any(each.singular_values is not None for each in found):
        caption = "Singular values of the decoder's mean; above 1 it expands space. Whiskers as above."
        pictures["singular_values"] = Picture(expansion_figure(found), caption)
    if any(each.steps for each in found):
        caption = (
            "Lengths of the steps that adaptation takes, over all of a task, and of what a latent step does to the "
            f"decoded parameters. All steps of {tasks} tasks; whiskers as above."
        )
        pictures["step_lengths"] = Picture(steps_figure(found), caption)
    return Section(
        "Curvature and coverage",
        [
            f"The support loss of {tasks} {evaluation.request.split} tasks, as in the paper's section 4.6: how it "
            "bends in the space of codes and in that of parameters, how far the decoder stretches, and how far "
            "steps go. The Hessian is exact, at the start of adaptation and at its end.",
            *(f"**{each.claim} {each.verdict}.** {each.finding}" for each in judged),
            *_unjudged(found),
        ],
        [
            Table(["model", "space", "point", "tasks", "rank", *SPREAD_HEADER], _eigenvalue_rows(found)),
            _step_table(found),
        ],
        pictures,
        {
            **analysed.about("test"),
            "claims": [each.summary() for each in judged],
            "models": {each.name: summary(each) for each in found},
        },
    )


def _unjudged(found):
    """Return sentences on what of the paper these models can say nothing on, and why."""
    decoding = [each for each in found if each.singular_values is not None]
    for each in decoding:
        if not each.eigenvalues["latents", "start"].size:
            yield f"The decoder of {each.name} gives every code the same weights, so that its latent space is flat."
    if len(decoding) == len(found):
        yield (
            "Whether latent steps move the parameters further than steps taken in them directly is seen beside a run "
            "of Meta-SGD or MAML on the same data (--compare_to)."
        )


def summary(found):
    """Return a Geometry as a plain dict, for JSON."""
    return {
        "absolute_eigenvalues": {f"{space}_{point}": spread(v) for (space, point), v in found.eigenvalues.items()},
        "ranks": {f"{space}_{point}": spread(v) for (space, point), v in found.ranks.items()},
        "singular_values": None if found.singular_values is None else spread(found.singular_values),
        "step_lengths": {
            kind: {"all": spread(lengths), "by_step_median": np.median(lengths, axis=1).tolist()}
            for kind, lengths in found.steps.items()
        },
    }


def curvature_figure(found):
    """Draw absolute eigenvalues of a list of Geometry: a box for each model, space and point."""
    counts = [len(model.eigenvalues) for model in found]
    figure = plots.new_figure(1.2 + 1.1 * sum(counts), 4.2)
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False, width_ratios=counts)
    for axes, model in zip(panels.flat, found, strict=True):
        keys = [(space, point) for space in SPACES for point in POINTS if (space, point) in model.eigenvalues]
        groups = {f"{_IN_WORDS[space]}\n{point}": model.eigenvalues[space, point] for space, point in keys}
        draw_boxes(axes, groups, [_COLORS[space] for space, _ in keys])
        axes.set_title(model.name, fontsize="medium")
    panels[0, 0].set_ylabel("absolute eigenvalue")
    return plots.finished(figure)


def expansion_figure(found):
    """Draw the singular values of the decoders of a list of Geometry."""
    groups = {model.name: model.singular_values for model in found if model.singular_values is not None}
    figure = plots.new_figure(1.6 + 1.6 * len(groups), 3.6)
    axes = figure.subplots()
    draw_boxes(axes, groups)
    axes.set(ylabel="singular value", title="Coverage: the decoder")
    return plots.finished(figure)


def steps_figure(found):
    """Draw the lengths of steps of a list of Geometry."""
    counts = [len(model.steps) for model in found if model.steps]
    figure = plots.new_figure(1.2 + 1.5 * sum(counts), 4.0)
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False, width_ratios=counts)
    for axes, model in zip(panels.flat, (model for model in found if model.steps), strict=True):
        groups = {_KINDS[kind]: lengths for kind, lengths in model.steps.items()}
        draw_boxes(axes, groups, [_COLORS[kind] for kind in model.steps])
        axes.set_title(model.name, fontsize="medium")
    panels[0, 0].set_ylabel("length")
    return plots.finished(figure)


def _curvature_caption(tasks):
    return (
        f"Absolute eigenvalues, those that are not zero, of the Hessian of the support loss on {tasks} tasks; in the "
        "space of codes at the start and after the latent steps, in that of parameters at the start and after all "
        "steps. Boxes from the 25th to the 75th percentile, whiskers at the 5th and 95th."
    )


def _eigenvalue_rows(found):
    return [
        [
            *(model.name, _IN_WORDS[space], point),
            *(str(len(model.ranks[space, point])), _ranks(model.ranks[space, point])),
            *spread_cells(values),
        ]
        for model in found
        for (space, point), values in model.eigenvalues.items()
    ]


def _ranks(ranks):
    low, high = ranks.min(), ranks.max()
    return f"{low}" if low == high else f"{low} to {high}"


def _step_table(found):
    rows = [
        [model.name, _KINDS[kind].replace("\n", " "), *spread_cells(lengths)]
        for model in found
        for kind, lengths in model.steps.items()
    ]
    rows += [
        [model.name, "singular value of the decoder", *spread_cells(model.singular_values)]
        for model in found
        if model.singular_values is not None
    ]
    return Table(["model", "length of", *SPREAD_HEADER], rows)
