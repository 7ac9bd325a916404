"""Separation of codes: by hand, increasing as classes move apart, and which codes count as neighbours."""

import itertools

import numpy as np
import pytest

from leo_tf.analysis.separation import explained_by_neighbours, neighbours, separation


def test_separation_matches_values_by_hand():
    """Two labels on a line, at 0 and 2, at 10 and 12; every task has one of each."""
    codes, labels = np.array([[0.0], [10.0], [2.0], [12.0]]), np.array(["a", "b", "a", "b"])
    found = separation(codes, labels, np.array([0, 0, 1, 1]))
    assert found.neighbour_accuracy == 1.0
    assert found.fisher_ratio == pytest.approx((4 * 5.0**2) / (4 * 1.0**2))
    silhouettes = [1 - 2 / 11, 1 - 2 / 9, 1 - 2 / 9, 1 - 2 / 11]
    assert found.silhouette == pytest.approx(np.mean(silhouettes))


def test_separation_increases_with_distance_between_classes():
    rng = np.random.default_rng(0)
    labels, tasks = np.tile(np.arange(4), 50), np.repeat(np.arange(50), 4)
    centres, noise = rng.normal(size=(4, 6)), rng.normal(size=(200, 6))
    found = [separation(scale * centres[labels] + noise, labels, tasks) for scale in (0.0, 1.0, 3.0)]
    for before, after in itertools.pairwise(found):
        assert all(a > b for a, b in zip(after, before, strict=True))
    assert found[0].neighbour_accuracy < 0.4 and abs(found[0].silhouette) < 0.1


def test_neighbours_are_in_other_tasks_and_share_no_examples():
    codes = np.array([[0.0], [0.1], [0.3], [1.0]])
    np.testing.assert_array_equal(neighbours(codes, np.array([0, 1, 2, 3]), None, 1)[:, 0], [1, 0, 1, 2])
    np.testing.assert_array_equal(neighbours(codes, np.array([0, 0, 1, 1]), None, 1)[:, 0], [2, 2, 1, 1])
    rows = np.array([[5, 6], [7, 5], [8, 9], [1, 2]])  # the first two share example 5
    np.testing.assert_array_equal(neighbours(codes, np.array([0, 1, 2, 3]), rows, 1)[:, 0], [2, 2, 1, 2])


def test_r2_of_values_explained_by_neighbours():
    rng = np.random.default_rng(0)
    values, tasks = rng.uniform(size=300), np.arange(300)
    values[:20] = np.nan
    told = explained_by_neighbours(values[:, np.newaxis].clip(0) * [1.0, 2.0], values, tasks)
    assert told > 0.99
    assert explained_by_neighbours(rng.normal(size=(300, 2)), values, tasks) < 0.2
