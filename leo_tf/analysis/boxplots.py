"""Box plots as in the paper, with whiskers at the 5th and 95th percentile."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leo_tf.analysis.section import QUANTILES


def draw_boxes(axes: Any, groups: Mapping[str, np.ndarray], colors: Sequence[str] = ()) -> None:
    """Draw a box for each group of values, on a logarithmic axis where any value is positive.

    Args:
      axes: matplotlib Axes.
      groups: {label: values}.
      colors: matplotlib colour of each box; empty draws all alike.
    """
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
