"""The exact posterior against sums over a plain grid, draws from the prior, least squares, and its own tasks."""

import numpy as np
import pytest

from leo_tf import InputError
from leo_tf.regression.baselines import posterior as module
from leo_tf.regression.baselines.posterior import exact_posterior
from leo_tf.regression.episodes import RegressionSampler
from leo_tf.regression.metrics import coverage, crps

NOISE = 0.3
GRID = np.linspace(-5, 5, 12)
MIDPOINTS = (np.arange(1200) + 0.5) / 1200


def arrays(tasks, shots=20, seed=0):
    return [np.asarray(part, np.float64) for part in RegressionSampler(shots, 1, NOISE).sample(seed, 0, tasks)[:2]]


def brute_force(functions, x, y):
    """Return the mean likelihood of equally probable functions, and the mean of likelihood times value on GRID."""
    error = sum((functions(each) - target) ** 2 for each, target in zip(x, y, strict=True))
    likelihood = np.exp(-0.5 * error / NOISE**2)
    return likelihood.mean(), np.array([np.mean(likelihood * functions(each)) for each in GRID])


@pytest.mark.parametrize("shots", [1, 2, 5, 20])
def test_equals_integration_on_a_plain_grid(shots):
    support_x, support_y = arrays(4, shots)
    found = exact_posterior(support_x, support_y, NOISE)
    slope, intercept = -3 + 6 * MIDPOINTS[:, None], -3 + 6 * MIDPOINTS
    amplitude, phase = 0.1 + 4.9 * MIDPOINTS[:, None], np.pi * MIDPOINTS
    for task in range(4):
        points = support_x[task, :, 0], support_y[task, :, 0]
        line, line_mean = brute_force(lambda x: slope * x + intercept, *points)
        sinusoid, sinusoid_mean = brute_force(lambda x: amplitude * np.sin(x - phase), *points)
        assert found.sinusoid_probability[task] == pytest.approx(sinusoid / (line + sinusoid), abs=1e-4)
        np.testing.assert_allclose(found.mean(GRID)[task], (line_mean + sinusoid_mean) / (line + sinusoid), atol=1e-3)


def test_equals_weighted_draws_from_the_prior():
    """Within five standard errors of weighing 400,000 prior functions by their likelihood."""
    count, rng = 400_000, np.random.default_rng(0)
    support_x, support_y = arrays(6, 3, seed=5)
    found, family, a, b = exact_posterior(support_x, support_y, NOISE), *rng.random((3, count))
    family = family < 0.5

    def functions(x):
        return np.where(family, (0.1 + 4.9 * a) * np.sin(x - np.pi * b), (-3 + 6 * a) * x - 3 + 6 * b)

    for task in range(6):
        error = sum((functions(x) - y) ** 2 for x, y in zip(support_x[task, :, 0], support_y[task, :, 0], strict=True))
        weights = np.exp(-0.5 * error / NOISE**2)
        weights /= weights.sum()
        values = [family, *map(functions, GRID)]
        exact = [found.sinusoid_probability[task], *found.mean(GRID)[task]]
        for value, expected in zip(values, exact, strict=True):
            estimate = weights @ value
            stderr = np.sqrt(weights**2 @ (value - estimate) ** 2)
            assert stderr < 0.1 and abs(estimate - expected) < 5 * stderr + 1e-6


@pytest.mark.parametrize(
    "shots,noise",
    [(1, 0.3), (20, 0.3), (5, 0.02), *(pytest.param(n, 0.3, marks=pytest.mark.long) for n in (2, 3, 5, 10))],
)
def test_more_nodes_do_not_change_the_result(monkeypatch, shots, noise):
    support = arrays(150, shots)
    found = exact_posterior(*support, noise)
    monkeypatch.setattr(module, "_NODES", 30)
    monkeypatch.setattr(module, "_PANEL", 2.5)
    finer = exact_posterior(*support, noise)
    np.testing.assert_allclose(found.sinusoid_probability, finer.sinusoid_probability, atol=1e-7)
    np.testing.assert_allclose(found.mean(GRID), finer.mean(GRID), atol=1e-6)


def test_many_points_give_least_squares():
    """Many points on a line inside the box: nothing is cut off, and the posterior is that of linear regression."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-5, 5, 20)
    y = 1.3 * x - 0.4 + NOISE * rng.normal(size=20)
    design = np.stack([x, np.ones(20)], axis=1)
    found = exact_posterior(x[None, :, None], y[None, :, None], NOISE)
    assert found.sinusoid_probability[0] < 1e-12
    solution = np.linalg.lstsq(design, y)[0]
    np.testing.assert_allclose(found.mean(GRID)[0], np.stack([GRID, np.ones(12)], axis=1) @ solution, atol=1e-9)
    intercept, end = found.sample(np.array([0.0, 1.0]), 20_000, 2)[:, 0].T
    expected = NOISE**2 * np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(np.cov(end - intercept, intercept), expected, atol=0.05 * expected.max())


def test_no_shots_give_the_prior():
    found = exact_posterior(np.zeros((2, 0, 1)), np.zeros((2, 0, 1)))
    np.testing.assert_allclose(found.sinusoid_probability, 0.5, atol=1e-9)
    # The mean of lines is 0; of sinusoids, the mean amplitude times that of sin(x - phase).
    np.testing.assert_allclose(found.mean(GRID), np.tile(-0.5 * 2.55 * 2 / np.pi * np.cos(GRID), (2, 1)), atol=1e-6)


@pytest.mark.parametrize("shots", [1, 4])
def test_samples_have_the_posterior_mean(shots):
    found = exact_posterior(*arrays(30, shots), NOISE)
    samples = found.sample(GRID, 4000, 3)
    stderr = samples.std(axis=0) / np.sqrt(4000)
    np.testing.assert_array_less(np.abs(samples.mean(axis=0) - found.mean(GRID)), 5 * stderr + 1e-3)


@pytest.mark.parametrize("shots", [1, pytest.param(5, marks=pytest.mark.long)])
def test_the_posterior_is_calibrated(shots):
    """Truths drawn by the sampler are exchangeable with posterior samples; wrong beliefs about the noise show."""
    sampler = RegressionSampler(shots, 1, NOISE)
    support_x, support_y = (np.asarray(part, np.float64) for part in sampler.sample(8, 0, 1000)[:2])
    truth = np.asarray(sampler.functions(8, 0, 1000)(np.tile(np.float32(GRID)[:, None], (1000, 1, 1))))[..., 0]
    samples = exact_posterior(support_x, support_y, NOISE).sample(GRID, 99, 4)
    found = coverage(samples, truth, [0.5, 0.9])
    for fraction, level in zip(found, [0.5, 0.9], strict=True):
        stderr = fraction.std() / np.sqrt(1000)
        assert stderr < 0.015 and abs(fraction.mean() - level) < 4 * stderr
    for wrong in (0.1, 0.9):
        other = exact_posterior(support_x, support_y, wrong).sample(GRID, 99, 4)
        assert crps(other, truth).mean() > crps(samples, truth).mean()


def test_batches_tensors_and_points_per_task(monkeypatch):
    episode = RegressionSampler(3, 1, NOISE).sample(0, 0, 20)
    whole = exact_posterior(*episode[:2], NOISE)
    mean, samples = whole.mean(GRID), whole.sample(GRID, 6, 0)
    np.testing.assert_allclose(whole.mean(np.tile(GRID, (20, 1))), mean)
    np.testing.assert_allclose(whole.sample(np.tile(GRID, (20, 1)), 6, np.random.default_rng(0)), samples)
    monkeypatch.setattr(module, "_CELLS_AT_ONCE", 5000)
    parts = exact_posterior(*episode[:2], NOISE)
    np.testing.assert_allclose(parts.mean(GRID), mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(parts.sample(GRID, 6, 0), samples, rtol=1e-9, atol=1e-9)


def test_points_that_no_function_passes_through():
    found = exact_posterior(np.array([[[0.0], [1.0]]]), np.array([[[50.0], [-70.0]]]), NOISE)
    samples = found.sample(GRID, 10, 0)
    assert np.isfinite(found.mean(GRID)).all() and np.isfinite(samples).all()
    assert 0 <= found.sinusoid_probability[0] <= 1 and np.abs(samples).max() <= 18


def test_user_errors():
    x = np.zeros((2, 3, 1))
    with pytest.raises(InputError, match=r"Got support_x \[2, 3, 1\] and support_y \[2, 3\]; expected finite numbers"):
        exact_posterior(x, x[..., 0])
    with pytest.raises(InputError, match=r"expected finite numbers of the same shape \[tasks, shots, 1\]"):
        exact_posterior(x, np.full_like(x, np.nan))
    for noise in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(InputError, match=r"Got noise_stddev=.*; expected a number above 0"):
            exact_posterior(x, x, noise)
