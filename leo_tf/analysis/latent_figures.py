"""Figures of the latent space as in the paper: before and after adaptation, by class, and one class alone."""

from typing import Any

import numpy as np

from leo_tf.analysis.latent_space import STAGES, LatentSpace
from leo_tf.evaluation import plots

_MOST_COLOURS = 20
_DOT = {"s": 4, "linewidths": 0}
_FAINT = "0.85"


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

    if count <= 10:
        return [f"C{number}" for number in range(count)]
    if count <= _MOST_COLOURS:
        return [colormaps["tab20"](number) for number in range(count)]
    return [colormaps["hsv"](number / count) for number in range(count)]


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
