"""PLDA as a transform: its weights against the densities of the two-covariance model."""

import numpy as np
import pytest

from leo_tf.transforms import fit_transform, plda, principal_scatter

DIM, CLASSES = 5, 4


def _covariance(spread, between):
    added = between * spread.mean_variance * np.eye(DIM)
    return spread.directions @ np.diag(spread.variances) @ spread.directions.T + added


@pytest.mark.parametrize("shots", [1, 4])
def test_weights_equal_those_of_the_predictive_density(shots):
    rng = np.random.default_rng(0)
    spread = plda.spread_of(2 * rng.normal(size=(CLASSES, DIM)), np.full(CLASSES, 50))
    covariance, unit = _covariance(spread, 0.3), np.eye(DIM)
    # Class mean ~ N(0, B), measured from `shots` examples; a new example, given that, ~ N(posterior, remaining + I).
    posterior = covariance @ np.linalg.inv(covariance + unit / shots)
    remaining = np.linalg.inv(np.linalg.inv(covariance) + shots * unit)
    weights = np.linalg.inv(unit + remaining) @ posterior
    matrix = plda.scaling(spread, 0.3, shots)
    np.testing.assert_allclose(matrix @ matrix, weights, atol=1e-12)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)


def test_spread_estimates_the_true_class_means():
    rng = np.random.default_rng(1)
    deviations, size = np.array([3.0, 1.0, 0.0]), 4
    means = deviations * rng.normal(size=(4000, 3))
    spread = plda.spread_of(means + rng.normal(size=means.shape) / np.sqrt(size), np.full(4000, size))
    np.testing.assert_allclose(spread.variances, deviations**2, rtol=0.06, atol=0.02)
    assert spread.mean_variance == pytest.approx(10 / 3, rel=0.05)
    few = plda.spread_of(np.eye(6)[:2], np.array([3, 5]))
    assert few.directions.shape == (6, 2) and few.mean_variance == pytest.approx((1 - (1 / 3 + 1 / 5) / 2) / 6)


def _classes(classes, seed, size=20):
    """(embeddings, class sizes) of classes that differ in two of twelve dimensions, and scatter alike in all."""
    rng = np.random.default_rng(seed)
    centres = np.concatenate([rng.normal(size=(classes, 2)), np.zeros((classes, 10))], axis=1)
    return np.repeat(centres, size, axis=0) + 0.5 * rng.normal(size=(classes * size, 12)), np.full(classes, size)


def test_directions_without_class_differences_get_little_weight():
    training, (new, _) = _classes(60, 0), _classes(30, 1)
    share = {}
    for kind in ("whiten", "plda"):
        rows = fit_transform(kind, *training, 0.1, 0.1).apply(new)
        share[kind] = float((rows[:, :2] ** 2).sum() / (rows**2).sum())
    assert share["plda"] > 0.7 > 0.5 > share["whiten"]


def test_infinite_shrinkage_between_classes_is_whitening():
    training = _classes(60, 0)
    mean, whitening = fit_transform("whiten", *training)
    same, matrix = fit_transform("plda", *training, between_class_shrinkage=1e9)
    assert np.array_equal(mean, same)
    # Every direction has the weight K / (K + 1).
    np.testing.assert_allclose(matrix, whitening * np.sqrt(0.5), rtol=1e-4, atol=1e-4)


def test_matrix_is_whitening_times_scaling_in_principal_directions():
    training = _classes(9, 2)
    scatter = principal_scatter(*training)
    _, matrix = fit_transform("plda", *training, 0.2, 0.5, shots=3)
    _, whitening = fit_transform("whiten", *training, 0.2)
    scaling = scatter.directions @ plda.scaling(scatter.class_mean_spread(0.2), 0.5, 3) @ scatter.directions.T
    np.testing.assert_allclose(matrix, whitening @ scaling, atol=1e-9)
