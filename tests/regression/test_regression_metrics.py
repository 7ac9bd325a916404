"""Scores against their definitions, written out in loops, and against calibrated samples, simulated."""

import numpy as np
import pytest
from scipy import stats

from leo_tf import InputError
from leo_tf.regression.metrics import coverage, crps, squared_error


def test_squared_error_of_the_mean():
    samples = np.array([[[1.0, 2.0], [0.0, 0.0]], [[3.0, 2.0], [0.0, 4.0]]])
    np.testing.assert_allclose(squared_error(samples, np.array([[0.0, 5.0], [1.0, 2.0]])), [(4 + 9) / 2, 0.5])


@pytest.mark.parametrize("count", [1, 2, 7])
def test_crps_equals_its_definition(count):
    rng = np.random.default_rng(0)
    samples, truth = rng.normal(size=(count, 3, 4)), rng.normal(size=(3, 4))
    expected = np.zeros(3)
    for task in range(3):
        for point in range(4):
            s, t = samples[:, task, point], truth[task, point]
            pairs = [abs(s[i] - s[j]) for i in range(count) for j in range(count) if i != j]
            expected[task] += (np.mean(np.abs(s - t)) - (0.5 * np.mean(pairs) if pairs else 0.0)) / 4
    np.testing.assert_allclose(crps(samples, truth), expected, rtol=1e-12)


@pytest.mark.parametrize("count", [2, 50])
def test_crps_is_fair(count):
    """Its mean is the score of the distribution itself, which for a normal one is known, with however few samples."""
    samples, truth = np.random.default_rng(1).normal(size=(count, 20, 5000)), 0.7
    expected = truth * (2 * stats.norm.cdf(truth) - 1) + 2 * stats.norm.pdf(truth) - 1 / np.sqrt(np.pi)
    found = crps(samples, np.full((20, 5000), truth))
    assert found.mean() == pytest.approx(expected, abs=5 * found.std() / np.sqrt(20))
    assert found.std() / np.sqrt(20) < 0.005


def test_crps_prefers_the_truth():
    rng = np.random.default_rng(2)
    truth, samples = rng.normal(size=(50, 200)), rng.normal(size=(40, 50, 200))
    honest = crps(samples, truth).mean()
    for other in (0.5 * samples, 2 * samples, samples + 0.5):
        assert crps(other, truth).mean() > honest + 0.02


@pytest.mark.parametrize("count,levels", [(9, [0.2, 0.4, 0.8]), (19, [0.5, 0.8, 0.9]), (99, [0.5, 0.8, 0.9, 0.98])])
def test_calibrated_samples_cover_exactly(count, levels):
    rng = np.random.default_rng(3)
    scale = rng.exponential(size=(100, 1000))  # any distribution will do
    found = coverage(scale * rng.normal(size=(count, 100, 1000)), scale * rng.normal(size=(100, 1000)), levels)
    assert found.shape == (len(levels), 100)
    np.testing.assert_allclose(found.mean(axis=1), levels, atol=0.006)


def test_coverage_between_the_exact_levels_and_beyond_the_widest():
    rng = np.random.default_rng(4)
    samples, truth = rng.normal(size=(100, 50, 1000)), rng.normal(size=(50, 1000))
    np.testing.assert_allclose(coverage(samples, truth, [0.5, 0.9]).mean(axis=1), [0.5, 0.9], atol=0.007)
    assert coverage(samples[:9], truth, [0.99]).mean() == pytest.approx(0.8, abs=0.01)
    low, high = np.quantile(samples[:9], [0.1, 0.9], axis=0)  # the definition warned of
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.66, abs=0.01)
    assert coverage(0.5 * samples, truth, [0.9]).mean() < 0.65


def test_coverage_counts_points():
    samples = np.arange(9.0)[:, np.newaxis, np.newaxis] * np.ones((9, 2, 3))
    truth = np.array([[0.0, 1.5, 8.0], [-1.0, 4.0, 4.5]])
    found = coverage(samples, truth, [0.2, 0.8])  # [3, 5] and [0, 8]
    np.testing.assert_allclose(found, [[0, 2 / 3], [1, 2 / 3]])


@pytest.mark.parametrize("score", [squared_error, crps, lambda samples, truth: coverage(samples, truth, [0.5])])
@pytest.mark.parametrize("samples", [(0, 3, 4), (3, 4), (5, 3, 1)])
def test_wrong_shapes_are_refused(score, samples):
    with pytest.raises(InputError, match=r"Got samples \[.*\] and truth \[3, 4\]; expected \[samples, tasks, points\]"):
        score(np.zeros(samples), np.zeros((3, 4)))


@pytest.mark.parametrize("levels", [[0.0], [50], 0.5, [np.nan]])
def test_impossible_levels_are_refused(levels):
    with pytest.raises(InputError, match=r"Got levels=.*expected a list of numbers between 0 and 1"):
        coverage(np.zeros((2, 1, 1)), np.zeros((1, 1)), levels)
