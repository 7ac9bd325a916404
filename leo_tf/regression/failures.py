"""The regression tasks with the largest errors."""

from typing import Any, NamedTuple

import numpy as np

from leo_tf.evaluation import plots
from leo_tf.regression.analysis_target import RegressionTarget
from leo_tf.regression.episodes import INPUT
from leo_tf.regression.tasks import grid

_DRAWN = 6


class Failures(NamedTuple):
    """Errors after adaptation."""

    functions: np.ndarray  # [tasks, 100], on the grid
    squared_error: np.ndarray  # [tasks], against the function without noise
    order: np.ndarray  # [tasks], indices of the tasks, worst first


def find_failures(target: RegressionTarget) -> Failures:
    """Return the Failures on a target's tasks."""
    functions = target.adapted_functions()
    errors = np.mean((functions - target.tasks.truth) ** 2, axis=1)
    return Failures(functions, errors, np.argsort(-errors, kind="stable"))


def draw_failures(found: Failures, target: RegressionTarget) -> Any:
    """Draw the worst tasks: true function, support and adapted function."""
    support_x, support_y = target.tasks.support(target.shots)
    figure = plots.new_figure(11.0, 5.6)
    for axes, task in zip(figure.subplots(2, 3).flat, found.order[:_DRAWN].tolist(), strict=False):
        axes.plot(grid(), target.tasks.truth[task], color="black", label="true function")
        axes.plot(grid(), found.functions[task], color="C0", label="adapted")
        axes.plot(support_x[task, :, 0], support_y[task, :, 0], "o", mfc="none", mec="red", label="support")
        axes.set(xlim=INPUT)
        axes.set_title(f"task {task}: squared error {found.squared_error[task]:.3g}", fontsize="small")
    figure.axes[0].legend(frameon=False, fontsize="small")
    return plots.finished(figure)
