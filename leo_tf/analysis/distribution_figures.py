"""Figures of distributions: histograms side by side, and box plots as in the paper."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leo_tf.analysis.section import QUANTILES
from leo_tf.evaluation import plots

_BINS = 30


def draw_histograms(values: Mapping[str, np.ndarray], ylabel: str, line: float | None = None) -> Any:
    """Draw a histogram of each of {axis label: array}, with a vertical line at `line` if it is given."""
    figure = plots.new_figure(1.0 + 3.4 * len(values), 2.8)
    for axes, (label, array) in zip(figure.subplots(1, len(values), squeeze=False).flat, values.items(), strict=True):
        axes.hist(np.ravel(array), bins=_BINS)
        axes.locator_params(axis="x", nbins=6)
        if line is not None:
            axes.axvline(line, color="0.6", lw=0.8)
        axes.set(xlabel=label, ylabel=ylabel)
    return plots.finished(figure)


def draw_boxes(axes: Any, groups: Mapping[str, np.ndarray], colors: Sequence[str] = ()) -> None:
    """Draw a box for each of {label: values}, whiskers at the 5th and 95th percentile; empty colors: all alike."""
    drawn = axes.boxplot(
        [np.asarray(values).ravel() for values in groups.values()],
        whis=(QUANTILES[0], QUANTILES[-1]),
        showfliers=False,
        patch_artist=True,
        widths=0.6,
        medianprops={"color": "black"},
    )
    for box, color in zip(drawn["boxes"], colors or ["C0"] * len(groups), strict=True):
        box.set(facecolor=color, alpha=0.5)
    axes.set_xticks(range(1, len(groups) + 1), list(groups))
    if any(np.max(values, initial=0) > 0 for values in groups.values()):
        axes.set_yscale("log")
        axes.grid(axis="y", which="major", lw=0.4)
