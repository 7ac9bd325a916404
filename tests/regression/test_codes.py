"""What codes are drawn from: a Gaussian many times over, or the Gaussians of a mixture."""

import numpy as np
import tensorflow as tf
from scipy import stats

from leo_tf.layers import distributions
from leo_tf.regression import codes

RNG = np.random.default_rng(0)
MEAN, STDDEV = RNG.normal(size=(2, 3, 4)), RNG.uniform(0.1, 1, size=(2, 3, 4))  # tasks, components, latents
LOGITS = RNG.normal(size=(2, 3))
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
MIXTURE = distributions.mixture(tf.constant(LOGITS), distributions.gaussian(tf.constant(MEAN), tf.constant(STDDEV)))


def test_a_gaussian_is_repeated_sample_by_sample():
    posterior = distributions.gaussian(tf.constant(MEAN[:, 0]), tf.constant(STDDEV[:, 0]))
    assert codes.repeated(posterior, 2, 1).distribution is posterior
    found = codes.repeated(posterior, 2, 3)
    np.testing.assert_array_equal(found.distribution.mean(), np.repeat(MEAN[:, 0], 3, axis=0))
    np.testing.assert_allclose(found.distribution.stddev(), np.repeat(STDDEV[:, 0], 3, axis=0))
    np.testing.assert_allclose(found.weights, np.full((2, 3), 1 / 3))
    assert found.log_shares == 0


def test_the_components_come_in_turn_with_their_shares():
    found = codes.in_turn(MIXTURE, 6)
    for task in range(2):
        for sample in range(6):
            row, component = 6 * task + sample, sample % 3
            np.testing.assert_array_equal(found.distribution.mean()[row], MEAN[task, component])
            np.testing.assert_allclose(found.distribution.stddev()[row], STDDEV[task, component])
            np.testing.assert_allclose(found.weights[task, sample], SHARES[task, component] / 2)
            np.testing.assert_allclose(found.log_shares[row], np.log(3 * SHARES[task, component]))
    np.testing.assert_allclose(np.sum(found.weights, axis=1), 1)


def test_a_draw_chooses_by_shares():
    """Quantiles of the normal distribution, as many in each component as its share says."""
    normals = stats.norm.ppf((np.arange(1000) + 0.5) / 1000)
    for task in range(2):
        of_task = tf.repeat(LOGITS[task : task + 1], 1000, axis=0)
        each = (tf.repeat(values[task : task + 1], 1000, axis=0) for values in (MEAN, STDDEV))
        mixture = distributions.mixture(of_task, distributions.gaussian(*each))
        found = codes.by_shares(mixture, tf.constant(normals[:, np.newaxis]))
        assert found.weights is None
        counts = [np.all(found.distribution.mean() == MEAN[task, c], axis=1).mean() for c in range(3)]
        np.testing.assert_allclose(counts, SHARES[task], atol=1.1e-3)


def test_the_likeliest():
    found = codes.likeliest(MIXTURE)
    for task in range(2):
        np.testing.assert_array_equal(found.mean()[task], MEAN[task, np.argmax(LOGITS[task])])
