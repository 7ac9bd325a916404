"""Functions between two codes: whether the latent space is filled with functions of the families."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf.evaluation import plots
from leo_tf.regression.episodes import INPUT
from leo_tf.regression.families import looks_sinusoid
from leo_tf.regression.tasks import grid

_PLACES = 9


class Interpolation(NamedTuple):
    """Straight lines between the adapted codes of two tasks."""

    tasks: np.ndarray  # [lines, 2], indices of the tasks
    places: np.ndarray  # [places], from 0, the first code, to 1, the second
    functions: np.ndarray  # [lines, places, 100], on the grid
    truth: np.ndarray  # [lines, 2, 100]

    def sinusoid_like(self):
        """Return bool [lines, places]: whether the function is closer to a sinusoid than to a line."""
        return looks_sinusoid(self.functions, grid())


def interpolate(subject):
    """Decode codes between those of the first sinusoid and line, of two sinusoids, and of two lines.

    Args:
      subject: RegressionTarget of a learner with codes.

    Returns:
      Interpolation.
    """
    waves, lines = (np.flatnonzero(subject.tasks.is_sinusoid == family)[:2] for family in (True, False))
    pairs = np.array([[waves[0], lines[0]], waves, lines])
    some = subject.tasks.take(pairs.ravel())
    trace = subject.learner.trace(*(tf.constant(values) for values in some.support(subject.shots)))
    codes = trace.latents[-1].numpy().reshape(3, 2, -1)
    places = np.linspace(0, 1, _PLACES, dtype=np.float32)
    between = codes[:, :1] + places[:, np.newaxis] * (codes[:, 1:] - codes[:, :1])
    decoded = subject.learner.decoder.mean(tf.constant(between.reshape(-1, codes.shape[-1])))
    functions = subject.functions(decoded, grid()).reshape(3, _PLACES, -1)
    return Interpolation(pairs, places, functions, some.truth.reshape(3, 2, -1))


def interpolation_figure(found):
    """Draw an Interpolation, a panel for each pair of tasks, and the true functions at both ends."""
    from matplotlib import colormaps

    figure, colors = plots.new_figure(12.5, 4.0), colormaps["viridis"]
    titles = ("a sinusoid to a line", "two sinusoids", "two lines")
    for axes, title, functions, truth in zip(figure.subplots(1, 3), titles, found.functions, found.truth, strict=True):
        for place, values in zip(found.places, functions, strict=True):
            axes.plot(grid(), values, color=colors(float(place)), lw=1.2)
        for place, values in zip((0.0, 1.0), truth, strict=True):
            axes.plot(grid(), values, color=colors(place), ls=":", lw=2.2)
        axes.set(xlim=INPUT, title=title)
    return plots.finished(figure)
