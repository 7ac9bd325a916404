"""Ambiguous tasks: points in a narrow window, for which the exact posterior is undecided about the family."""

import numpy as np
import pytest

from leo_tf import InputError, randomness
from leo_tf.regression import ambiguous
from leo_tf.regression.ambiguous import draw_ambiguous
from leo_tf.regression.baselines.posterior import exact_posterior
from leo_tf.regression.tasks import grid, looks_sinusoid

COUNT = 60


@pytest.fixture(scope="module")
def drawn():
    return draw_ambiguous(COUNT, seed=3)


def test_the_exact_posterior_is_undecided(drawn):
    tasks, probability = drawn
    assert tasks.support_x.shape == tasks.support_y.shape == (COUNT, 5, 1) and tasks.truth.shape == (COUNT, 100)
    assert probability.shape == (COUNT,) and probability.min() >= 0.4 and probability.max() <= 0.6
    exact = exact_posterior(tasks.support_x, tasks.support_y, 0.3).sinusoid_probability
    np.testing.assert_allclose(probability, exact, atol=1e-9)
    # An honest posterior: of these tasks about half are sinusoids.
    assert abs(tasks.is_sinusoid.sum() - probability.sum()) < 4 * np.sqrt(COUNT / 4)


def test_points_are_noisy_and_lie_in_a_window(drawn):
    tasks, _ = drawn
    np.testing.assert_array_equal(looks_sinusoid(tasks.truth, grid()), tasks.is_sinusoid)
    x = tasks.support_x[..., 0]
    assert np.abs(x).max() <= 5 and np.ptp(x, axis=1).max() <= 3.5
    assert np.ptp(x, axis=1).mean() > 0.7 and np.ptp(x.mean(axis=1)) > 5  # the window is somewhere else in each
    noise = [
        y - np.interp(points, grid(), truth)
        for points, y, truth in zip(x, tasks.support_y[..., 0], tasks.truth, strict=True)
    ]
    inside = np.abs(x) < 4.9
    assert np.stack(noise)[inside].std() == pytest.approx(0.3, rel=4 / np.sqrt(2 * inside.sum()))


@pytest.mark.long
def test_fewer_tasks_are_the_first_of_more_and_streams_differ(drawn):
    few, probability = draw_ambiguous(7, seed=3)
    for name in ("support_x", "support_y", "truth", "is_sinusoid"):
        np.testing.assert_array_equal(getattr(few, name), getattr(drawn[0], name)[:7])
    np.testing.assert_array_equal(probability, drawn[1][:7])
    for other in (draw_ambiguous(7, seed=4), draw_ambiguous(7, seed=3, stream=randomness.VALIDATION)):
        assert not np.intersect1d(other[0].support_x, few.support_x).size


def test_number_of_shots(drawn):
    tasks, probability = draw_ambiguous(5, shots=2)
    assert tasks.support_x.shape == (5, 2, 1)
    exact = exact_posterior(tasks.support_x, tasks.support_y, 0.3).sinusoid_probability
    np.testing.assert_allclose(probability, exact, atol=1e-9)


def test_with_little_noise_fewer_tasks_are_searched(monkeypatch):
    """A fifth of the tasks at a fifth of the noise below which a posterior takes long."""
    monkeypatch.setattr(ambiguous, "_DRAWN_AT_ONCE", 25)
    monkeypatch.setattr(ambiguous, "_MOST_DRAWN", 300)
    with pytest.raises(InputError, match=r"Among 60 tasks of 5 points with noise_stddev=0\.01 only \d are ambiguous; "):
        draw_ambiguous(50, noise_stddev=0.01)
