"""The figure of the paper's section 4.1: functions sampled given few points, on certain tasks and ambiguous ones."""

import dataclasses
import logging
from typing import Any, NamedTuple

import numpy as np

from leo_tf import randomness
from leo_tf.errors import InputError
from leo_tf.evaluation import plots
from leo_tf.regression.ambiguous import draw_ambiguous
from leo_tf.regression.baselines.posterior import exact_posterior
from leo_tf.regression.episodes import INPUT
from leo_tf.regression.sampling import FunctionSampler
from leo_tf.regression.tasks import RegressionTasks, draw_tasks, grid, join, looks_sinusoid

_logger = logging.getLogger("leo_tf")
_CERTAIN = 0.99  # posterior probability of the family
_WIDEST_GAP = 3.0  # between inputs in the panels of certain tasks, whose points cover the range
_SHOTS = 5
_CANDIDATES, _AMBIGUOUS_CANDIDATES = 200, 20
_SAMPLES = 30  # functions drawn per task
NUM_PANELS = 4


class Panels(NamedTuple):
    """The tasks of the figure."""

    tasks: RegressionTasks  # 4, of 5 shots
    probability: np.ndarray  # [4], of a sinusoid given the points, exact


def choose_panels(noise_stddev: float = 0.3, stream: int = randomness.TEST) -> Panels:
    """Choose tasks whose family is (a, b) certain and (c, d) ambiguous, by the exact posterior and so for every model.

    (a), a sinusoid, and (b), a line, are the first tasks of the stream whose family is 99 % certain and whose points
    cover the range; (c), a sinusoid, and (d), a line, are the first ambiguous ones.
    Raises InputError if no task is ambiguous, as with very little noise.
    """
    crowded, unsure = draw_ambiguous(_AMBIGUOUS_CANDIDATES, 0, stream, noise_stddev, _SHOTS)
    tasks = draw_tasks(_CANDIDATES, 0, stream, noise_stddev)
    support_x, support_y = tasks.support(_SHOTS)
    probability = exact_posterior(support_x, support_y, noise_stddev).sinusoid_probability
    ends = np.tile(INPUT, [_CANDIDATES, 1])
    x = np.sort(np.concatenate([support_x[..., 0], ends], axis=1), axis=1)
    excess = np.maximum(np.diff(x, axis=1).max(axis=1) - _WIDEST_GAP, 0)
    chosen, probabilities = [], []
    for is_sinusoid in (True, False):
        doubt = np.maximum(_CERTAIN - (probability if is_sinusoid else 1 - probability), 0)
        # argmin takes the first of the tasks at 0, which meet both conditions.
        task = int(np.argmin(np.where(tasks.is_sinusoid == is_sinusoid, excess + doubt, np.inf)))
        chosen.append(dataclasses.replace(tasks, support_x=support_x, support_y=support_y).take([task]))
        probabilities.append(probability[task])
    for is_sinusoid in (True, False):
        task = int(np.argmax(crowded.is_sinusoid == is_sinusoid))
        chosen.append(crowded.take([task]))
        probabilities.append(unsure[task])
    return Panels(join(chosen), np.array(probabilities))


def find_panels(noise_stddev: float, stream: int) -> Panels | None:
    """Return the chosen Panels; None without matplotlib, or where with too little noise nothing is ambiguous."""
    if not plots.can_draw() or not noise_stddev:
        return None
    try:
        return choose_panels(noise_stddev, stream)
    except InputError as error:
        _logger.warning("No figure of sampled functions: %s", error)
        return None


def sampled_figures(panels: Panels | None, sampler: FunctionSampler, title: str = "") -> dict[str, Any]:
    """Return {"functions": the figure of a model's samples}, or {} without panels."""
    if panels is None:
        return {}
    samples = sampler.functions(panels.tasks.support_x, panels.tasks.support_y, _SAMPLES)
    return {"functions": draw_figure(panels, samples, title)}


def draw_figure(panels: Panels, samples: np.ndarray, title: str = "") -> Any:
    """Draw true functions, their points, and samples [samples, 4, 100] coloured by the family that they resemble."""
    from matplotlib.lines import Line2D

    tasks, x = panels.tasks, grid()
    figure = plots.new_figure(9.6, 6.4)
    for task, axes in enumerate(figure.subplots(2, 2, sharex=True).flat):
        like_sinusoid = looks_sinusoid(samples[:, task], x)
        for values, sinusoid in zip(samples[:, task], like_sinusoid, strict=True):
            axes.plot(x, values, color="C0" if sinusoid else "C2", ls=":", lw=1, alpha=0.8)
        axes.plot(x, tasks.truth[task], color="black", lw=1.6)
        points_x, points_y = (values[task, :, 0] for values in tasks.support(_SHOTS))
        axes.plot(points_x, points_y, ls="none", marker="o", mfc="none", mec="red", mew=1.4)
        for point in points_x:
            axes.axvline(point, color="red", ls="--", lw=0.5, alpha=0.5)
        shown = np.concatenate([tasks.truth[task], points_y])
        low, high = shown.min(), shown.max()
        margin = 0.4 * (high - low) + 0.8
        axes.set(xlim=INPUT, ylim=(low - margin, high + margin))
        family = "sinusoid" if tasks.is_sinusoid[task] else "line"
        axes.set_title(
            f"({'abcd'[task]}) a {family}; exact posterior: {100 * panels.probability[task]:.0f} % sinusoid;\n"
            f"samples: {100 * like_sinusoid.mean():.0f} % sinusoid-like",
            fontsize="small",
        )
    handles = [
        Line2D([], [], color="black", label="true function"),
        Line2D([], [], ls="none", marker="o", mfc="none", mec="red", label="support, with noise"),
        Line2D([], [], color="C0", ls=":", label="samples, sinusoid-like"),
        Line2D([], [], color="C2", ls=":", label="samples, line-like"),
    ]
    figure.legend(handles=handles, loc="lower center", ncols=4, frameon=False, fontsize="small")
    figure.suptitle(title, fontsize="medium")
    return plots.finished(figure, bottom=0.05)
