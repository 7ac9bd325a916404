"""Candidates of samples: repeated from a Gaussian, or from the components of a mixture."""

import numpy as np
import tensorflow as tf
from scipy import stats

from leo_tf.layers import distributions
from leo_tf.regression import candidates

RNG = np.random.default_rng(0)
MEAN, STDDEV = RNG.normal(size=(2, 3, 4)), RNG.uniform(0.1, 1, size=(2, 3, 4))  # tasks, components, latents
LOGITS = RNG.normal(size=(2, 3))
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
MIXTURE = distributions.mixture(tf.constant(LOGITS), distributions.gaussian(tf.constant(MEAN), tf.constant(STDDEV)))


def test_candidates_of_a_gaussian_repeat_it():
    posterior = distributions.gaussian(tf.constant(MEAN[:, 0]), tf.constant(STDDEV[:, 0]))
    assert candidates.of_gaussian(posterior, 2, 1, 1).distribution is posterior
    found = candidates.of_gaussian(posterior, 2, samples=2, candidates=3)
    np.testing.assert_array_equal(found.distribution.mean(), np.repeat(MEAN[:, 0], 6, axis=0))
    np.testing.assert_allclose(found.distribution.stddev(), np.repeat(STDDEV[:, 0], 6, axis=0))
    np.testing.assert_allclose(np.exp(found.log_shares), np.full((2, 2, 3), 1 / 3))


def test_candidates_of_a_mixture_are_its_components_with_their_shares():
    found = candidates.of_mixture(MIXTURE, samples=2, candidates=6)
    for task in range(2):
        for place in range(12):
            row, component = 12 * task + place, place % 3
            np.testing.assert_array_equal(found.distribution.mean()[row], MEAN[task, component])
            np.testing.assert_allclose(found.distribution.stddev()[row], STDDEV[task, component])
            share = np.exp(found.log_shares[task, place // 6, place % 6])
            np.testing.assert_allclose(share, SHARES[task, component] / 2)
    np.testing.assert_allclose(np.exp(found.log_shares).sum(axis=2), 1)


def test_candidates_are_chosen_with_their_probabilities():
    """At quantiles of the normal distribution, the frequency of each candidate is its weight."""
    normals = stats.norm.ppf((np.arange(1000) + 0.5) / 1000)
    values, weights = np.arange(3000).reshape(3000, 1), np.tile(SHARES[:1], [1000, 1])
    found = candidates.chosen(*map(tf.constant, (values, weights, normals))).numpy()[:, 0]
    np.testing.assert_array_equal(found // 3, np.arange(1000))  # of the sample's own
    counts = [(found % 3 == candidate).mean() for candidate in range(3)]
    np.testing.assert_allclose(counts, SHARES[0], atol=1.1e-3)


def test_likeliest_component():
    found = candidates.likeliest(MIXTURE)
    for task in range(2):
        np.testing.assert_array_equal(found.mean()[task], MEAN[task, np.argmax(LOGITS[task])])
