"""What is regression's own in the report: interpolation between codes, and the worst tasks."""

import numpy as np

from leo_tf.analysis.section import Picture, Section, Table, short, spread
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.regression.failures import failures_figure, failures_of
from leo_tf.regression.interpolation import interpolate, interpolation_figure

_LISTED = 10
_PAIRS = ("a sinusoid to a line", "two sinusoids", "two lines")


def interpolation(analysed):
    """Return the Section on functions between codes."""
    subject, split = analysed.subject("val"), analysed.evaluation("val").request.split
    found = interpolate(subject)
    like = found.sinusoid_like()
    rows = [
        [name, ", ".join("sinusoid" if each else "line" for each in kinds)]
        for name, kinds in zip(_PAIRS, like, strict=True)
    ]
    caption = (
        f"Functions decoded at {len(found.places)} equal steps from the adapted code of one {split} task (dark) to "
        "that of another (light); dotted, the true functions at both ends."
    )
    summary = {
        "tasks": found.tasks.tolist(),
        "places": found.places.tolist(),
        "sinusoid_like": like.tolist(),
        "squared_error_at_ends": np.mean((found.functions[:, [0, -1]] - found.truth) ** 2, axis=2).tolist(),
    }
    return Section(
        "Interpolation",
        ["What lies between two codes, and whether it looks more like a sinusoid or a line (the closer fit)."],
        [Table(["from, to", "looks like, step by step"], rows)],
        {"interpolation": Picture(interpolation_figure(found), caption)},
        {**analysed.about("val"), **summary},
    )


def failures(analysed):
    """Return the Section on the tasks with the largest errors."""
    subject, split = analysed.subject("test"), analysed.evaluation("test").request.split
    found, family = failures_of(subject), subject.labels["family"]
    families = {
        name: confidence_interval(found.squared_error[family == name])._asdict() for name in sorted(set(family))
    }
    values = subject.values
    rows = [
        [
            str(task),
            str(family[task]),
            *("" if np.isnan(each[task]) else short(each[task]) for each in values.values()),
            short(found.squared_error[task]),
        ]
        for task in found.order[:_LISTED].tolist()
    ]
    tables = [
        Table(
            ["family", "squared error"], [[n, f"{v['mean']:.3f} ± {v['half_width']:.3f}"] for n, v in families.items()]
        ),
        Table(["task, the worst first", "family", *values, "squared error"], rows),
    ]
    caption = f"The worst of {len(subject.tasks)} {split} tasks. Squared errors are against the function without noise."
    summary = {
        "squared_error": spread(found.squared_error),
        "families": families,
        "worst": [
            {"task": task, "squared_error": float(found.squared_error[task])} for task in found.order[:100].tolist()
        ],
    }
    return Section(
        "What fails",
        [f"The {split} tasks with the largest errors after adaptation, through means."],
        tables,
        {"worst_functions": Picture(failures_figure(found, subject.tasks, subject.shots), caption)},
        {**analysed.about("test"), **summary},
    )
