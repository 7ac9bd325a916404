"""Logistic regression: at the optimum the gradient of its objective is zero; usable as an evaluator's classifier."""

import functools
import sys

import numpy as np
import oracle
import pytest

from leo_tf import EpisodeSampler, InputError, randomness
from leo_tf.classification.evaluator import Evaluator
from leo_tf.classification.tasks import draw_from
from leo_tf.classification.yardsticks.logistic import logistic_regression


@pytest.mark.parametrize("ways", [2, 4])
@pytest.mark.parametrize("C", [1.0, 10.0])
def test_it_is_the_minimum(make_episode, ways, C):
    """Stationary in the bias and, where two classes have one penalised row between them, in their difference."""
    episode = make_episode(ways=ways, shots=3)
    classifier = logistic_regression(*episode[:2], C=C)
    for task in range(2):
        inputs, labels = (np.asarray(part[task]).reshape(ways * 3, -1) for part in episode[:2])
        weights, bias = classifier.weights[task].numpy(), classifier.bias[task].numpy()
        error = oracle.softmax(inputs @ weights.T + bias) - np.eye(ways)[labels.ravel()]
        penalised = weights * (2 if ways == 2 else 1)
        np.testing.assert_allclose(C * error.T @ inputs + penalised, 0, atol=2e-3 * C)
        np.testing.assert_allclose(error.sum(axis=0), 0, atol=2e-3)
        assert np.abs(weights).max() > 0.1


@pytest.mark.parametrize("ways", [2, 3])
def test_the_evaluator_takes_it(table, ways):
    sampler = EpisodeSampler(table, ways, 2, 10)
    make_classifier = functools.partial(logistic_regression, C=10.0)
    scores = Evaluator(make_classifier, sampler, 10).run_on(draw_from(sampler, table.digest, 20, 0))
    episode = sampler.sample(randomness.stream_seed(0, randomness.TEST), 0, 20)
    classifier = logistic_regression(*episode[:2], C=10.0)
    logits = np.einsum("twqd,tvd->twqv", episode.query_x, classifier.weights)
    logits += classifier.bias.numpy()[:, None, None]
    right = np.mean(logits.argmax(axis=-1) == episode.query_y, axis=(1, 2))
    np.testing.assert_allclose(scores.accuracy, right, rtol=1e-5)
    assert right.mean() > 1 / ways + 0.2


def test_mistakes(make_episode, monkeypatch):
    episode = make_episode()
    with pytest.raises(InputError, match=r"Got C=0; expected a number above 0"):
        logistic_regression(*episode[:2], C=0)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match=r"needs scikit-learn.*: pip install scikit-learn\."):
        logistic_regression(*episode[:2])
