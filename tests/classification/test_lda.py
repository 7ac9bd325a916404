"""Linear discriminant analysis: the ratios of normal densities, and the covariance of the classes it is given."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from leo_tf import InputError
from leo_tf.classification.baselines import lda, shared_covariance


def test_logits_are_log_densities(make_episode, table):
    episode = make_episode(ways=3, shots=2)
    rows = np.asarray(table.embeddings, np.float64).reshape(9, 24, 8)
    covariance = np.einsum("cri,crj->ij", *[rows - rows.mean(axis=1, keepdims=True)] * 2) / (9 * 23)
    shrunk = covariance + 0.2 * np.trace(covariance) / 8 * np.eye(8)
    found = lda(*episode[:2], shared_covariance(table), shrinkage=0.2)
    for task in range(2):
        queries = np.asarray(episode.query_x[task]).reshape(-1, 8)
        means = np.asarray(episode.support_x[task]).mean(axis=1)
        logits = queries @ found.weights[task].numpy().T + found.bias[task].numpy()
        densities = np.stack([multivariate_normal(mean, shrunk).logpdf(queries) for mean in means], axis=1)
        np.testing.assert_allclose(logits - logits[:, :1], densities - densities[:, :1], atol=1e-8)


def test_a_shrinkage_of_zero_is_refused(make_episode, table):
    with pytest.raises(InputError, match=r"Got shrinkage=0; expected a number above 0"):
        lda(*make_episode()[:2], shared_covariance(table), shrinkage=0)
