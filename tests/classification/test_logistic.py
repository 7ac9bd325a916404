"""Logistic regression: scikit-learn's answer, at strong and at weak penalties; usable as an evaluator's classifier."""

import functools

import numpy as np
import oracle
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from leo_tf import EpisodeSampler, InputError, randomness
from leo_tf.classification.baselines import logistic
from leo_tf.classification.baselines.logistic import logistic_regression
from leo_tf.classification.evaluator import Evaluator
from leo_tf.classification.tasks import draw_from


@pytest.fixture
def converged(monkeypatch):
    monkeypatch.setattr(logistic, "_TOLERANCE", 1e-9)
    monkeypatch.setattr(logistic, "_MOST_STEPS", 100_000)


@pytest.mark.parametrize("ways,shots,dim", [(2, 3, 8), (4, 3, 8), (5, 1, 8), (3, 9, 4)])
@pytest.mark.parametrize("C", [0.1, 10.0, 100.0])
def test_equals_scikit_learn(make_episode, converged, ways, shots, dim, C):
    """With examples that no line separates (27 in 4 dimensions), and with fewer than dimensions."""
    episode = make_episode(ways=ways, shots=shots, dim=dim)
    found = logistic_regression(tf.cast(episode.support_x, tf.float64), episode.support_y, C=C)
    for task in range(2):
        inputs, labels = np.asarray(episode.support_x[task]).reshape(-1, dim), np.repeat(np.arange(ways), shots)
        # Of two classes scikit-learn has one row of weights, of half the penalty of two opposite ones.
        model = LogisticRegression(C=2 * C if ways == 2 else C, max_iter=20_000, tol=1e-9).fit(inputs, labels)
        weights, bias = model.coef_, model.intercept_
        if ways == 2:
            weights, bias = np.array([[-0.5], [0.5]]) * weights, np.array([-0.5, 0.5]) * bias
        scale = np.abs(weights).max()
        np.testing.assert_allclose(found.weights[task], weights, atol=2e-5 * scale)
        np.testing.assert_allclose(found.bias[task], bias - bias.mean(), atol=2e-4 * scale)


@pytest.mark.parametrize("C", [1e-3, 1.0, 100.0])
def test_the_gradient_vanishes_for_every_penalty(make_episode, converged, C):
    episode = make_episode(ways=4, shots=5, dim=6)
    found = logistic_regression(tf.cast(episode.support_x, tf.float64), episode.support_y, C=C)
    for task in range(2):
        inputs = np.asarray(episode.support_x[task]).reshape(-1, 6)
        weights, bias = found.weights[task].numpy(), found.bias[task].numpy()
        error = oracle.softmax(inputs @ weights.T + bias) - np.eye(4)[np.repeat(np.arange(4), 5)]
        tolerance = 1e-5 * np.abs(error).max()
        np.testing.assert_allclose(error.T @ inputs + weights / C, 0, atol=20 * tolerance)
        np.testing.assert_allclose(error.sum(axis=0), 0, atol=20 * tolerance)
        assert np.abs(weights).max() > 1e-4


@pytest.mark.parametrize("ways", [2, 3])
def test_the_evaluator_accepts_it(table, ways):
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


def test_labels_may_be_in_any_order(make_episode):
    episode = make_episode(ways=3, shots=2)
    turned = [part.numpy()[:, ::-1] for part in episode[:2]]
    np.testing.assert_allclose(
        logistic_regression(*turned).weights, logistic_regression(*episode[:2]).weights, atol=1e-6
    )


@pytest.mark.parametrize("C", [0.1, 10.0, 100.0])
def test_the_tolerance_is_small_enough_for_accuracy(make_episode, C):
    """Real tolerance against scikit-learn's answers, on queries of classes that overlap."""
    episode = make_episode(ways=5, shots=5, dim=16, queries=100)
    found = logistic_regression(*episode[:2], C=C)
    for task in range(2):
        inputs, labels = np.asarray(episode.support_x[task]).reshape(-1, 16), np.repeat(np.arange(5), 5)
        queries = np.asarray(episode.query_x[task]).reshape(-1, 16)
        expected = LogisticRegression(C=C, max_iter=20_000, tol=1e-9).fit(inputs, labels).predict(queries)
        answers = (queries @ found.weights[task].numpy().T + found.bias[task].numpy()).argmax(axis=1)
        assert np.mean(answers == expected) > 0.99


def test_an_absent_example_changes_nothing(make_episode):
    episode = make_episode(ways=3, shots=4)
    x, y = episode.support_x.numpy(), episode.support_y.numpy().copy()
    y[:, 1, 2:] = -1
    found, other = logistic_regression(x, y), x.copy()
    other[:, 1, 2:] = 7.0
    np.testing.assert_allclose(logistic_regression(other, y).weights, found.weights, atol=1e-5)
    assert not np.allclose(logistic_regression(x, episode.support_y).weights, found.weights, atol=1e-2)


def test_a_warning_if_it_does_not_converge(make_episode, monkeypatch, caplog):
    episode = make_episode()
    logistic_regression(*episode[:2], C=1e4)
    assert not caplog.records
    monkeypatch.setattr(logistic, "_MOST_STEPS", 1)
    logistic._warn_once.cache_clear()
    for _ in range(2):
        logistic_regression(*episode[:2], C=1e4)
    assert [line.startswith("Logistic regression did not converge in 1 steps") for line in caplog.messages] == [True]


def test_a_penalty_of_zero_is_refused(make_episode):
    with pytest.raises(InputError, match=r"Got C=0; expected a number above 0"):
        logistic_regression(*make_episode()[:2], C=0)
