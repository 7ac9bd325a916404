"""Losses against their definitions, written out in loops, and the optimum of the energy score."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize

from leo_tf.regression.losses import energy_score, smoothed, squared_error


def distance(a, b):
    return np.sqrt(np.mean((a - b) ** 2) + 1e-6)


def draws(samples, candidates=1, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 2, size=(3, samples, candidates))
    weights /= weights.sum(axis=2, keepdims=True)
    return rng.normal(size=(3, samples, candidates, 4)), rng.normal(size=(3, 4)), weights


@pytest.mark.parametrize("candidates", [1, 3])
def test_squared_error_matches_its_definition(candidates):
    values, targets, weights = draws(2, candidates)
    expected = [
        np.mean([sum(w[c] * np.mean((v[c] - y) ** 2) for c in range(candidates)) for w, v in zip(*of, strict=True)])
        for y, *of in zip(targets, weights, values, strict=True)
    ]
    np.testing.assert_allclose(squared_error(*map(tf.constant, (values, targets, weights))), expected, rtol=1e-12)


@pytest.mark.parametrize("candidates", [1, 3])
@pytest.mark.parametrize("samples", [2, 5])
def test_energy_score_matches_its_definition(samples, candidates):
    """Over every choice of one candidate per sample, with its probability."""
    values, targets, weights = draws(samples, candidates)
    found = energy_score(*map(tf.constant, (values, targets, weights)))
    for task in range(3):
        expected = 0.0
        for chosen in itertools.product(range(candidates), repeat=samples):
            functions = [values[task, s, c] for s, c in enumerate(chosen)]
            to_target = np.mean([distance(v, targets[task]) for v in functions])
            between = np.mean([distance(a, b) for a, b in itertools.permutations(functions, 2)])
            probability = np.prod([weights[task, s, c] for s, c in enumerate(chosen)])
            expected += probability * (to_target - between / 2)
        np.testing.assert_allclose(found[task], expected, rtol=1e-10)


def test_smoothed_matches_its_definition():
    values, x = np.random.default_rng(0).normal(size=(2, 3, 5)), np.random.default_rng(1).uniform(-5, 5, size=(2, 5))
    found = smoothed(*map(tf.constant, (values, x)), 0.7)
    for task in range(2):
        for point in range(5):
            weights = np.exp(-0.5 * ((x[task] - x[task, point]) / 0.7) ** 2)
            expected = values[task] @ weights / weights.sum()
            np.testing.assert_allclose(found[task, :, point], expected, rtol=1e-12)


def test_smoothing_keeps_functions_and_removes_noise():
    rng = np.random.default_rng(2)
    x = np.sort(rng.uniform(-5, 5, size=(1, 200)))
    functions = np.stack([np.ones_like(x), 2 * x + 1, np.sin(x)], axis=1)
    noise = rng.normal(size=functions.shape)
    inner = slice(30, 170)  # at the ends there are neighbours on one side only
    found = smoothed(tf.constant(functions), tf.constant(x), 0.3).numpy()
    np.testing.assert_allclose(found[..., inner], functions[..., inner], atol=0.3)
    assert np.std(smoothed(tf.constant(noise), tf.constant(x), 0.3)) < 0.4


def mean_score(samples_of, targets, count, weights=None):
    """The mean score of distributions over many tasks, and its standard error; candidates where there are weights."""
    values = samples_of(len(targets), count)
    if weights is None:
        values, weights = values[:, :, np.newaxis], np.ones((len(targets), count, 1))
    found = energy_score(*map(tf.constant, (values, targets, weights))).numpy()
    return found.mean(), found.std() / np.sqrt(len(found))


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.long)])
@pytest.mark.parametrize("points", [1, pytest.param(10, marks=pytest.mark.long)])
def test_energy_score_is_best_at_the_true_stddev_with_few_samples_too(count, points):
    """Normal functions, constant over points: the score is least at the targets' own distribution, 0.4 +- 0.7."""
    rng = np.random.default_rng(0)
    repeat = np.ones(points)
    targets, normals = (0.4 + 0.7 * rng.normal(size=(60_000, 1))) * repeat, rng.normal(size=(60_000, count, 1))

    def score(parameters):
        mean, spread = parameters
        return mean_score(lambda *_: (mean + spread * normals) * repeat, targets, count)[0]

    found = optimize.minimize(score, [0.0, 0.2], method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-7})
    np.testing.assert_allclose(found.x, [0.4, 0.7], atol=0.03)


def test_squared_error_is_best_without_any_spread():
    rng = np.random.default_rng(1)
    targets, normals = 0.7 * rng.normal(size=(20_000, 1)), rng.normal(size=(20_000, 2, 1))
    normals, weights = normals[:, :, np.newaxis], np.ones((20_000, 2, 1))
    scores = [
        squared_error(*map(tf.constant, (spread * normals, targets, weights))).numpy().mean()
        for spread in (0, 0.3, 0.7)
    ]
    assert scores == sorted(scores) and scores[1] > scores[0] + 0.05


def test_energy_score_does_not_depend_on_the_number_of_samples():
    rng = np.random.default_rng(2)
    targets = rng.normal(size=(40_000, 3))
    found = [mean_score(lambda *shape: rng.normal(size=(*shape, 3)), targets, count) for count in (2, 3, 10)]
    for mean, error in found:
        assert mean == pytest.approx(found[-1][0], abs=4 * (error + found[-1][1]))


def test_energy_score_is_best_at_the_true_shares_also_with_noise_on_both_sides():
    """Targets near +1 in 3 of 10 tasks, near -1 in the others, all points alike; each has a component."""
    rng = np.random.default_rng(3)
    noise = 0.5
    places = np.where(rng.random((40_000, 1)) < 0.3, 1.0, -1.0) * np.ones(5)
    targets = places + noise * rng.normal(size=places.shape)
    values = np.tile([[1.0], [-1.0]], [1, 5]) + noise * rng.normal(size=(40_000, 2, 2, 5))

    def score(share):
        weights = np.tile([share, 1 - share], [40_000, 2, 1])
        return mean_score(lambda *_: values, targets, 2, weights)[0]

    assert optimize.minimize_scalar(score, bounds=(0, 1), method="bounded").x == pytest.approx(0.3, abs=0.02)
    halfway = mean_score(lambda *_: noise * rng.normal(size=(40_000, 4, 5)), targets, 4)[0]
    assert halfway > score(0.3) + 0.1


def test_gradient_is_finite_where_samples_are_equal():
    values = tf.ones([1, 2, 1, 3])
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = tf.reduce_sum(energy_score(values, tf.zeros([1, 3]), tf.ones([1, 2, 1])))
    np.testing.assert_allclose(tape.gradient(loss, values), np.full((1, 2, 1, 3), 1 / 6), rtol=1e-4)
