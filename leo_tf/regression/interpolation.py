"""Functions decoded between two codes, which show whether the latent space is filled with functions of the families."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf.evaluation import plots
from leo_tf.regression.analysis_target import RegressionTarget
from leo_tf.regression.episodes import INPUT
from leo_tf.regression.families import looks_sinusoid
from leo_tf.regression.tasks import grid

PAIRS = ("a sinusoid to a line", "two sinusoids", "two lines")
_STEPS = 9


class Interpolation(NamedTuple):
    """Functions on straight lines between the adapted codes of PAIRS of tasks."""

    tasks: np.ndarray  # [pairs, 2], indices of the tasks
    fractions: np.ndarray  # [steps], from 0, the first code, to 1, the second
    functions: np.ndarray  # [pairs, steps, 100], on the grid
    truth: np.ndarray  # [pairs, 2, 100]

    def sinusoid_like(self) -> np.ndarray:
        """Return bool [pairs, steps]: whether the function is closer to a sinusoid than to a line."""
        return looks_sinusoid(self.functions, grid())


def interpolate(target: RegressionTarget) -> Interpolation:
    """Decode codes between those of the first sinusoid and line, of two sinusoids, and of two lines."""
    sinusoids, lines = (np.flatnonzero(target.tasks.is_sinusoid == each)[:2] for each in (True, False))
    pairs = np.array([[sinusoids[0], lines[0]], sinusoids, lines])
    some = target.tasks.take(pairs.ravel())
    trace = target.learner.trace(*(tf.constant(values) for values in some.support(target.shots)))
    codes = trace.latents[-1].numpy().reshape(len(pairs), 2, -1)
    fractions = np.linspace(0, 1, _STEPS, dtype=np.float32)
    between = codes[:, :1] + fractions[:, np.newaxis] * (codes[:, 1:] - codes[:, :1])
    decoded = target.learner.decoder.mean(tf.constant(between.reshape(-1, codes.shape[-1])))
    functions = target.functions(decoded).reshape(len(pairs), _STEPS, -1)
    return Interpolation(pairs, fractions, functions, some.truth.reshape(len(pairs), 2, -1))


def draw_interpolation(found: Interpolation) -> Any:
    """Draw an Interpolation, a panel for each pair of tasks, with the true functions at both ends."""
    from matplotlib import colormaps

    figure, colors = plots.new_figure(12.5, 4.0), colormaps["viridis"]
    for axes, title, functions, truth in zip(figure.subplots(1, 3), PAIRS, found.functions, found.truth, strict=True):
        for fraction, values in zip(found.fractions, functions, strict=True):
            axes.plot(grid(), values, color=colors(float(fraction)), lw=1.2)
        for fraction, values in zip((0.0, 1.0), truth, strict=True):
            axes.plot(grid(), values, color=colors(fraction), ls=":", lw=2.2)
        axes.set(xlim=INPUT, title=title)
    return plots.finished(figure)
