"""The figure of the paper's section 4.1: sampled functions through few points, certain tasks and ambiguous ones."""

from typing import NamedTuple

import numpy as np

from leo_tf.evaluation import plots
from leo_tf.regression.families import looks_sinusoid
from leo_tf.regression.posterior import exact_posterior
from leo_tf.regression.tasks import INPUT

CERTAIN, AMBIGUOUS = 0.99, (0.4, 0.6)  # posterior probabilities of a family
_WIDEST_GAP = 3.0  # of the inputs in the panels of certain tasks: points all over the range
_SHOTS = 5


class Panels(NamedTuple):
    """The tasks of the figure."""

    indices: np.ndarray  # [4]
    probability: np.ndarray  # [4], of a sinusoid given the points


def choose_panels(tasks, noise_stddev=0.3, shots=_SHOTS):
    """Choose the first tasks that show (a, b) certainty about the family, (c, d) ambiguity.

    By the exact posterior, which no model has a part in: (a) a sinusoid that is one for sure and (b) such a line; (c) a
    sinusoid and (d) a line whose points leave both families a probability of 40 to 60 %.

    Args:
      tasks: TestTasks.
      noise_stddev: of the targets.
      shots: points of a task.

    Returns:
      Panels; where no task qualifies, the nearest to it.
    """
    support = tasks.support(shots)
    probability = exact_posterior(*support, max(noise_stddev, 1e-3)).sinusoid_probability
    x = np.sort(support[0][..., 0], axis=1)
    ends = np.broadcast_to(INPUT, [len(x), 2])
    gap = np.diff(np.concatenate([ends[:, :1], x, ends[:, 1:]], axis=1), axis=1).max(axis=1)
    # How far from what is wanted; argmin takes the first of those that are not.
    spread = np.maximum(gap - _WIDEST_GAP, 0)
    certain = [spread + np.maximum(CERTAIN - p, 0) for p in (probability, 1 - probability)]
    unsure = np.maximum(np.abs(probability - np.mean(AMBIGUOUS)) - (AMBIGUOUS[1] - AMBIGUOUS[0]) / 2, 0)
    distances = [*certain, unsure, unsure]
    of_family = [tasks.is_sinusoid, ~tasks.is_sinusoid] * 2
    chosen = [np.argmin(np.where(fits, d, np.inf)) for fits, d in zip(of_family, distances, strict=True)]
    return Panels(np.array(chosen), probability[chosen])


def draw_figure(tasks, panels, samples, x, title="", shots=_SHOTS):
    """Draw the true functions, their points and sampled functions, coloured by the family that these look like.

    Args:
      tasks: TestTasks.
      panels: Panels of them.
      samples: functions of the panels' tasks at x, [samples, 4, n].
      x: the grid [n] that `tasks.truth` is on.
      title: text.
      shots: points of a task.

    Returns:
      matplotlib Figure.
    """
    figure = plots.new_figure(9.6, 6.4)
    for panel, axes in enumerate(figure.subplots(2, 2, sharex=True).flat):
        task = panels.indices[panel]
        like_sinusoid = looks_sinusoid(samples[:, panel], x)
        for values, sinusoid in zip(samples[:, panel], like_sinusoid, strict=True):
            axes.plot(x, values, color="C0" if sinusoid else "C2", ls=":", lw=1, alpha=0.8)
        axes.plot(x, tasks.truth[task], color="black", lw=1.6)
        points_x, points_y = (values[task, :, 0] for values in tasks.support(shots))
        axes.plot(points_x, points_y, ls="none", marker="o", mfc="none", mec="red", mew=1.4)
        for point in points_x:
            axes.axvline(point, color="red", ls="--", lw=0.5, alpha=0.5)
        low, high = (f(tasks.truth[task].min(), points_y.min(), points_y.max()) for f in (min, max))
        high = max(high, tasks.truth[task].max())
        margin = 0.4 * (high - low) + 0.8
        axes.set(xlim=INPUT, ylim=(low - margin, high + margin))
        family = "sinusoid" if tasks.is_sinusoid[task] else "line"
        axes.set_title(
            f"({'abcd'[panel]}) a {family}; exact posterior: {100 * panels.probability[panel]:.0f} % sinusoid;\n"
            f"samples: {100 * like_sinusoid.mean():.0f} % sinusoid-like",
            fontsize="small",
        )
    figure.legend(handles=_legend(), loc="lower center", ncols=4, frameon=False, fontsize="small")
    figure.suptitle(title, fontsize="medium")
    return plots.finished(figure, bottom=0.05)


def _legend():
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color="black", label="true function"),
        Line2D([], [], ls="none", marker="o", mfc="none", mec="red", label="support, with noise"),
        Line2D([], [], color="C0", ls=":", label="samples, sinusoid-like"),
        Line2D([], [], color="C2", ls=":", label="samples, line-like"),
    ]
