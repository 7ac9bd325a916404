"""Histograms side by side."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from leo_tf.evaluation import plots

_BINS = 30


def draw_histograms(values: Mapping[str, np.ndarray], ylabel: str, line: float | None = None) -> Any:
    """Draw a histogram of each array.

    Args:
      values: {axis label: array}.
      ylabel: what is counted.
      line: position of a vertical line; None for none.

    Returns:
      matplotlib Figure.
    """
    figure = plots.new_figure(1.0 + 3.4 * len(values), 2.8)
    for axes, (label, array) in zip(figure.subplots(1, len(values), squeeze=False).flat, values.items(), strict=True):
        axes.hist(np.ravel(array), bins=_BINS)
        axes.locator_params(axis="x", nbins=6)
        if line is not None:
            axes.axvline(line, color="0.6", lw=0.8)
        axes.set(xlabel=label, ylabel=ylabel)
    return plots.finished(figure)
