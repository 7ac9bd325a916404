"""The figure of the paper's section 4.1: the tasks of its panels, and what it draws."""

import numpy as np
import pytest

from leo_tf import randomness
from leo_tf.regression.ambiguous import draw_ambiguous
from leo_tf.regression.baselines.posterior import exact_posterior
from leo_tf.regression.figure import choose_panels, draw_figure
from leo_tf.regression.tasks import draw_tasks, grid


@pytest.fixture(scope="module")
def panels():
    return choose_panels()


def test_panels_are_two_certain_tasks_and_two_ambiguous_ones(panels):
    tasks = panels.tasks
    assert tasks.support_x.shape == (4, 5, 1) and tasks.truth.shape == (4, 100)
    assert tasks.is_sinusoid.tolist() == [True, False, True, False]
    assert panels.probability[0] >= 0.99 and panels.probability[1] <= 0.01
    assert np.all((panels.probability[2:] >= 0.4) & (panels.probability[2:] <= 0.6))
    exact = exact_posterior(tasks.support_x, tasks.support_y, 0.3).sinusoid_probability
    np.testing.assert_allclose(panels.probability, exact, atol=1e-9)
    ends = np.concatenate([np.tile([-5.0, 5.0], (4, 1)), tasks.support_x[..., 0]], axis=1)
    assert np.diff(np.sort(ends, axis=1), axis=1).max(axis=1)[:2].max() <= 3
    assert np.ptp(tasks.support_x[2:], axis=1).max() <= 3.5


@pytest.mark.long
def test_panels_are_the_first_such_tasks_of_the_stream(panels):
    tasks = draw_tasks(200)
    x, y = tasks.support(5)
    probability = exact_posterior(x, y, 0.3).sinusoid_probability
    ends = np.sort(np.concatenate([np.tile([-5.0, 5.0], (200, 1)), x[..., 0]], axis=1), axis=1)
    spread = np.diff(ends, axis=1).max(axis=1) <= 3
    for panel, fits in enumerate(
        (tasks.is_sinusoid & (probability >= 0.99), ~tasks.is_sinusoid & (probability <= 0.01))
    ):
        first = np.flatnonzero(fits & spread)[0]
        np.testing.assert_array_equal(panels.tasks.truth[panel], tasks.truth[first])
        np.testing.assert_array_equal(panels.tasks.support_y[panel], y[first])
    crowded, _ = draw_ambiguous(20)
    for panel, family in ((2, True), (3, False)):
        first = np.flatnonzero(crowded.is_sinusoid == family)[0]
        np.testing.assert_array_equal(panels.tasks.support_x[panel], crowded.support_x[first])
    other = choose_panels(stream=randomness.VALIDATION)
    assert not np.intersect1d(other.tasks.support_x, panels.tasks.support_x).size


def test_figure_shows_truth_points_and_samples(panels):
    x, rng = grid(), np.random.default_rng(0)
    # Panel after panel 0 to 3 of the five samples look like sinusoids.
    a, b = rng.uniform(1, 3, (2, 5, 4, 1))
    samples = np.where(np.arange(5)[:, None, None] < np.arange(4)[:, None], a * np.sin(x - b), a * x - b)
    figure = draw_figure(panels, samples, "a title")
    assert len(figure.axes) == 4 and figure.get_suptitle() == "a title"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        *("true function", "support, with noise", "samples, sinusoid-like", "samples, line-like")
    ]
    for panel, axes in enumerate(figure.axes):
        lines = axes.get_lines()
        assert len(lines) == 5 + 1 + 1 + 5  # samples, the truth, the points, a dashed line at each point
        drawn = [line for line in lines if len(line.get_xdata()) == 100]
        for line, values in zip(drawn, [*samples[:, panel], panels.tasks.truth[panel]], strict=True):
            np.testing.assert_array_equal(line.get_xdata(), x)
            np.testing.assert_array_equal(line.get_ydata(), values)
        assert [line.get_color() for line in drawn] == ["C0"] * panel + ["C2"] * (5 - panel) + ["black"]
        (points,) = (line for line in lines if line.get_marker() == "o")
        np.testing.assert_array_equal(points.get_xdata(), panels.tasks.support_x[panel, :, 0])
        np.testing.assert_array_equal(points.get_ydata(), panels.tasks.support_y[panel, :, 0])
        dashed = [line.get_xdata()[0] for line in lines if line.get_linestyle() == "--"]
        np.testing.assert_array_equal(dashed, panels.tasks.support_x[panel, :, 0])
        family, share = ("line", "sinusoid")[panel % 2 == 0], f"samples: {20 * panel} % sinusoid-like"
        certain = f"exact posterior: {100 * panels.probability[panel]:.0f} % sinusoid;"
        assert axes.get_title() == f"({'abcd'[panel]}) a {family}; {certain}\n{share}"
        low, high = axes.get_ylim()
        assert low < min(panels.tasks.truth[panel]) and high > max(panels.tasks.truth[panel])
        assert axes.get_xlim() == (-5, 5)
