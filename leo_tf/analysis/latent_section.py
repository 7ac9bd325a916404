"""The latent space section of the report, with figures as in the paper, and files for TensorBoard's projector."""

import io
from typing import Any

import numpy as np

from leo_tf.analysis.context import AnalysisContext
from leo_tf.analysis.latent_space import STAGES, LatentSpace, measure_latent_space
from leo_tf.analysis.section import CaptionedFigure, Section, Table, format_number
from leo_tf.analysis_target import AnalysisTarget
from leo_tf.errors import InputError
from leo_tf.evaluation import plots

_MEASURES = {
    "silhouette": "silhouette",
    "fisher_ratio": "Fisher ratio",
    "neighbour_accuracy": "1-nearest-neighbour accuracy",
}
_MOST_COLOURS = 20
_DOT = {"s": 4, "linewidths": 0}
_FAINT = "0.85"
_PROJECTOR_CONFIG = """embeddings {
  tensor_name: "latent codes"
  tensor_path: "codes.tsv"
  metadata_path: "labels.tsv"
}
"""


def section(context: AnalysisContext) -> Section:
    """Return the latent space Section."""
    target, split = context.target("val"), context.evaluation("val").request.split
    highlight = find_highlight(target, context.highlight)
    found = measure_latent_space(target, context.seed)
    figures = {}
    for name, each in found.projections.items():
        count = len(each.points) // 2
        figures[name.lower().replace("-", "")] = CaptionedFigure(
            draw_projection(found, name, highlight, f"{name} of codes, {split} tasks"),
            f"{count} codes before and {count} after their latent steps, of {split} tasks, projected together. "
            f"{each.method}.",
        )
    rows = [
        [f"{label}: {_MEASURES[measure]}", *(format_number(getattr(stage, measure)) for stage in pair)]
        for label, pair in found.separations.items()
        for measure in _MEASURES
    ]
    rows += [[f"{name}: R² by 5 neighbours", *map(format_number, pair)] for name, pair in found.explained.items()]
    text = [
        f"Codes of {len(target.tasks)} {split} tasks before and after adaptation, as in the paper's section 4.5; they "
        "are means, as in evaluation. Their separation by label is measured on the codes themselves, not on a "
        "projection: the silhouette (-1 to 1), the Fisher ratio (scatter between over scatter within the labels), and "
        "how often a code's nearest neighbour has the same label. Neighbours are codes of other tasks that share no "
        "example."
    ]
    if not target.learner.inner_steps[0]:
        text.append("This model takes no latent steps: before and after are the same.")
    return Section(
        "Latent space",
        text,
        [Table(["", *STAGES], rows)],
        figures,
        {**context.describe("val"), **found.summary()},
        projector_files(found),
    )


def find_highlight(target: AnalysisTarget, label: str) -> str:
    """Return the label to show alone: the given one, which has to exist, or the first of more than two."""
    labels = [sorted(set(texts)) for texts in target.labels.values()]
    if label:
        if not any(label in texts for texts in labels):
            shown = ", ".join(labels[0][:10])
            raise InputError(
                f"Got highlight={label}; expected one of {shown}{', ...' * (len(labels[0]) > 10)}.", "highlight"
            )
        return label
    return labels[0][0] if len(labels[0]) > 2 else ""


def draw_projection(space: LatentSpace, name: str, highlight: str = "", title: str = "") -> Any:
    """Draw a projection of codes: before and after, by each kind of label, one label alone, and by each value."""
    points = space.projections[name].points.reshape(2, -1, 2)
    count = points.shape[1]
    panels: list[tuple[Any, tuple]] = [(_draw_stages, ())]
    panels += [(_draw_labels, (label, texts[:count])) for label, texts in space.labels.items()]
    if highlight:
        chosen = np.any([texts[:count] == highlight for texts in space.labels.values()], axis=0)
        panels.append((_draw_highlight, (highlight, chosen)))
    panels += [(_draw_values, (value, numbers[:count])) for value, numbers in space.values.items()]
    figure = plots.new_figure(4.4 * len(panels), 4.8)
    for axes, (draw, arguments) in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels, strict=True):
        draw(axes, points, *arguments)
        axes.set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize="medium")
    return plots.finished(figure)


def _draw_stages(axes: Any, points: np.ndarray, size: int = 4, title: str = "before and after adaptation") -> None:
    for stage, of_stage, color in zip(STAGES, points, ("C0", "C1"), strict=True):
        axes.scatter(*of_stage.T, color=color, label=f"{stage} adaptation", s=size, linewidths=0)
    axes.set_title(title, fontsize="medium")
    axes.legend(edgecolor="none", fontsize="small", markerscale=3, loc="upper left")


def _draw_labels(axes: Any, points: np.ndarray, name: str, texts: np.ndarray) -> None:
    labels = sorted(set(texts))
    for label, color in zip(labels, _colours(len(labels)), strict=True):
        chosen = np.tile(texts == label, 2)
        axes.scatter(*points.reshape(-1, 2)[chosen].T, color=color, label=plots.plain(label), **_DOT)
    axes.set_title(f"by {name}", fontsize="medium")
    if len(labels) <= _MOST_COLOURS:
        axes.legend(
            frameon=False, fontsize="x-small", markerscale=3, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 0.0)
        )


def _colours(count: int) -> list[Any]:
    from matplotlib import colormaps

    if count <= _MOST_COLOURS:
        return list(colormaps["tab10" if count <= 10 else "tab20"](range(count)))
    return list(colormaps["hsv"](np.arange(count) / count))


def _draw_highlight(axes: Any, points: np.ndarray, name: str, chosen: np.ndarray) -> None:
    axes.scatter(*points.reshape(-1, 2).T, color=_FAINT, **_DOT)
    _draw_stages(axes, points[:, chosen], size=12, title=f"{plots.plain(name)} alone")


def _draw_values(axes: Any, points: np.ndarray, name: str, numbers: np.ndarray) -> None:
    numbers = np.tile(numbers, 2)
    points, known = points.reshape(-1, 2), ~np.isnan(numbers)
    axes.scatter(*points[~known].T, color=_FAINT, **_DOT)
    drawn = axes.scatter(*points[known].T, c=numbers[known], cmap="viridis", **_DOT)
    axes.figure.colorbar(drawn, ax=axes, orientation="horizontal", fraction=0.05, pad=0.03)
    axes.set_title(f"by {name}", fontsize="medium")


def projector_files(space: LatentSpace) -> dict[str, str]:
    """Return {name: text} of the files that show a LatentSpace in the folder of TensorBoard's events."""
    vectors = io.StringIO()
    np.savetxt(vectors, space.codes.reshape(-1, space.codes.shape[2]), fmt="%.6g", delimiter="\t")
    columns = {
        "stage": np.repeat(STAGES, len(space.tasks)),
        "task": np.tile(space.tasks, 2),
        **{name: np.tile(texts, 2) for name, texts in space.labels.items()},
        **{name: np.tile(np.round(numbers, 4), 2) for name, numbers in space.values.items()},
    }
    cells = [[" ".join(str(value).split()) for value in row] for row in zip(*columns.values(), strict=True)]
    lines = ["\t".join(row) + "\n" for row in [list(columns), *cells]]
    return {"codes.tsv": vectors.getvalue(), "labels.tsv": "".join(lines), "projector_config.pbtxt": _PROJECTOR_CONFIG}
