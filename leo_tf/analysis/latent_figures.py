"""Pictures of a latent space, as the paper's: before and after, by class, one class alone."""

from typing import Any

import numpy as np

from leo_tf.analysis.latent_space import STAGES
from leo_tf.evaluation import plots

_MOST_COLOURS = 20
_DOT = {"s": 4, "linewidths": 0}
_FAINT = "0.85"


def layout_figure(space, layout, highlight="", title=""):
    """Draw codes before and after adaptation.

    Args:
      space: LatentSpace.
      layout: name of the layout.
      highlight: a label to show alone; empty for none.
      title: text.

    Returns:
      matplotlib Figure: before and after; a panel for each label; one for what is highlighted, or for each value.
    """
    points = space.layouts[layout]
    count = points.shape[1]
    panels: list[tuple[Any, tuple]] = [(_stages, ())]
    panels += [(_labels, (name, texts[:count])) for name, texts in space.labels.items()]
    if highlight:
        chosen = np.any([texts[:count] == highlight for texts in space.labels.values()], axis=0)
        panels.append((_highlight, (highlight, chosen)))
    panels += [(_values, (name, numbers[:count])) for name, numbers in space.values.items()]
    figure = plots.new_figure(4.4 * len(panels), 4.8)
    for axes, (draw, arguments) in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels, strict=True):
        draw(axes, points, *arguments)
        axes.set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize="medium")
    return plots.finished(figure)


def _stages(axes, points):
    for stage, of_stage, color in zip(STAGES, points, ("C0", "C1"), strict=True):
        axes.scatter(*of_stage.T, color=color, label=f"{stage} adaptation", **_DOT)
    axes.set_title("before and after adaptation", fontsize="medium")
    axes.legend(edgecolor="none", fontsize="small", markerscale=3, loc="upper left")


def _labels(axes, points, name, texts):
    kinds = sorted(set(texts))
    colors = _colours(len(kinds))
    for kind, color in zip(kinds, colors, strict=True):
        chosen = np.tile(texts == kind, 2)
        axes.scatter(*points.reshape(-1, 2)[chosen].T, color=color, label=plots.plain(kind), **_DOT)
    axes.set_title(f"by {name}", fontsize="medium")
    if len(kinds) <= _MOST_COLOURS:
        axes.legend(
            frameon=False, fontsize="x-small", markerscale=3, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 0.0)
        )


def _colours(count):
    from matplotlib import colormaps

    if count <= 10:
        return [f"C{number}" for number in range(count)]
    table = colormaps["tab20" if count <= _MOST_COLOURS else "hsv"]
    return [table(number if count <= _MOST_COLOURS else number / count) for number in range(count)]


def _highlight(axes, points, name, chosen):
    axes.scatter(*points.reshape(-1, 2).T, color=_FAINT, **_DOT)
    for stage, of_stage, color in zip(STAGES, points, ("C0", "C1"), strict=True):
        axes.scatter(*of_stage[chosen].T, color=color, label=f"{stage} adaptation", **{**_DOT, "s": 12})
    axes.set_title(f"{plots.plain(name)} alone", fontsize="medium")
    axes.legend(edgecolor="none", fontsize="small", markerscale=2, loc="upper left")


def _values(axes, points, name, numbers):
    numbers = np.tile(numbers, 2)
    points, known = points.reshape(-1, 2), ~np.isnan(numbers)
    axes.scatter(*points[~known].T, color=_FAINT, **_DOT)
    drawn = axes.scatter(*points[known].T, c=numbers[known], cmap="viridis", **_DOT)
    axes.figure.colorbar(drawn, ax=axes, orientation="horizontal", fraction=0.05, pad=0.03)
    axes.set_title(f"by {name}", fontsize="medium")
