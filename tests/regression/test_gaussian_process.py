"""Gaussian processes against textbook formulas in NumPy: predictions, and the likelihood that kernels maximise."""

import sys
import warnings

import numpy as np
import pytest

from leo_tf import InputError
from leo_tf.regression.baselines.gaussian_process import fit_kernel, gaussian_process
from leo_tf.regression.episodes import RegressionSampler

NOISE = 0.3


def covariance(theta, x, z):
    """The kernel at logs of constant, length scale, constant, sigma_0."""
    amplitude, length, slope, sigma = np.exp(theta)
    return amplitude * np.exp(-0.5 * ((x[:, None] - z) / length) ** 2) + slope * (sigma**2 + x[:, None] * z)


def log_likelihood(theta, x, y):
    k = covariance(theta, x, x) + NOISE**2 * np.eye(len(x))
    return -0.5 * (y @ np.linalg.solve(k, y) + np.linalg.slogdet(2 * np.pi * k)[1])


@pytest.fixture(scope="module")
def tasks():
    return RegressionSampler(6, 1, NOISE).sample(3, 0, 12)


@pytest.fixture(scope="module")
def kernel(tasks):
    return fit_kernel(tasks.support_x, tasks.support_y, NOISE)


def test_predictions_equal_the_textbook_formula(tasks, kernel):
    grid = np.linspace(-6, 6, 7)
    found = gaussian_process(tasks.support_x, tasks.support_y, grid, NOISE, kernel)
    for task in range(12):
        x, y = np.float64(tasks.support_x[task])[:, 0], np.float64(tasks.support_y[task])[:, 0]
        gain = np.linalg.solve(
            covariance(kernel.theta, x, x) + NOISE**2 * np.eye(6), covariance(kernel.theta, x, grid)
        ).T
        variance = np.diag(covariance(kernel.theta, grid, grid) - gain @ covariance(kernel.theta, x, grid))
        np.testing.assert_allclose(found.mean[task], gain @ y, atol=1e-8)
        np.testing.assert_allclose(found.stddev[task], np.sqrt(variance), atol=1e-8)


def test_the_shared_kernel_has_the_highest_likelihood(tasks, kernel):
    """No step along any hyper-parameter that stays within the bounds does noticeably better."""

    def total(theta):
        pairs = zip(np.float64(tasks.support_x), np.float64(tasks.support_y), strict=True)
        return sum(log_likelihood(theta, x[:, 0], y[:, 0]) for x, y in pairs)

    best = total(kernel.theta)
    assert best > total(np.zeros(4)) + 1
    for step in 0.05 * np.concatenate([np.eye(4), -np.eye(4)]):
        assert total(np.clip(kernel.theta + step, *np.log([1e-3, 1e3]))) < best + 1e-4


def test_a_kernel_per_task(tasks):
    """Is the one that `fit_kernel` finds for this task alone, whatever the other tasks are."""
    grid = np.linspace(-5, 5, 11)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gaussian_process(tasks.support_x, tasks.support_y, grid, NOISE)
    for task in range(3):
        alone = [part[task : task + 1] for part in tasks[:2]]
        expected = gaussian_process(*alone, grid, NOISE, fit_kernel(*alone, NOISE))
        np.testing.assert_allclose(found.mean[task], expected.mean[0], atol=0.02)
        np.testing.assert_allclose(found.stddev[task], expected.stddev[0], atol=0.02)


def test_samples_have_the_mean_and_standard_deviation(tasks, kernel):
    found = gaussian_process(tasks.support_x, tasks.support_y, np.linspace(-5, 5, 4), NOISE, kernel)
    samples = found.sample(4000, 0)
    assert samples.shape == (4000, 12, 4)
    np.testing.assert_allclose((samples.mean(axis=0) - found.mean) / found.stddev, 0, atol=0.08)
    np.testing.assert_allclose(samples.std(axis=0) / found.stddev, 1, atol=0.06)
    np.testing.assert_array_equal(samples, found.sample(4000, 0))


def test_user_errors(tasks, monkeypatch):
    x, y = tasks[:2]
    with pytest.raises(InputError, match=r"Got support_x \[12, 6, 1\] and support_y \[12, 5, 1\]; expected finite n"):
        fit_kernel(x, y[:, :5])
    with pytest.raises(InputError, match=r"Got noise_stddev=0.0; expected a number above 0"):
        gaussian_process(x, y, [0.0], 0.0)
    with pytest.raises(InputError, match=r"Got support_x \[0, 6, 1\]; expected at least one point"):
        fit_kernel(x[:0], y[:0])
    monkeypatch.setitem(sys.modules, "sklearn.gaussian_process", None)
    for call in (lambda: fit_kernel(x, y), lambda: gaussian_process(x, y, [0.0])):
        with pytest.raises(InputError, match=r"needs scikit-learn.*: pip install scikit-learn\."):
            call()
