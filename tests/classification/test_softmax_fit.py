"""The convex fit to the support: scikit-learn's and scipy's answers, weights, offsets and both ways to solve it."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression

from leo_tf.classification.softmax_fit import fit_softmax

TASKS, WAYS = 2, 3


def problem(count, dim, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(count) % WAYS, (TASKS, 1))
    return rng.normal(size=(TASKS, count, dim)) + 0.5 * np.eye(WAYS, dim)[labels], labels


def solve(examples, labels, penalty, **options):
    targets = tf.one_hot(labels, WAYS, dtype=tf.float64)
    exactly = {"tolerance": 1e-9, "most_steps": 5000}
    return fit_softmax(tf.convert_to_tensor(examples), targets, penalty, **exactly, **options)


def by_scipy(examples, labels, penalty, weights, offset):
    """Weights of one task, [ways, dim], by a general minimiser of the objective as it is written."""
    ways, dim = WAYS, examples.shape[1]
    targets = np.eye(ways)[labels]

    def objective(flat):
        matrix = flat.reshape(ways, dim)
        logs = special.log_softmax(offset + examples @ matrix.T, axis=1)
        slope = (weights[:, None] * (np.exp(logs) - targets)).T @ examples + penalty * matrix
        return -(weights * (targets * logs).sum(axis=1)).sum() + penalty / 2 * (flat @ flat), slope.ravel()

    found = optimize.minimize(objective, np.zeros(ways * dim), jac=True, method="BFGS", options={"gtol": 1e-9})
    return found.x.reshape(ways, dim)


@pytest.mark.parametrize("count,dim", [(6, 9), (30, 4)], ids=["by examples", "by dimensions"])
def test_weights_and_offsets_against_scipy(count, dim):
    examples, labels = problem(count, dim)
    rng = np.random.default_rng(1)
    weights, offset = rng.uniform(0, 2, size=(TASKS, count)), rng.normal(size=(TASKS, count, WAYS))
    weights[:, -1] = 0  # as padding has
    found = solve(examples, labels, 0.3, example_weights=tf.constant(weights), offset=tf.constant(offset))
    for task in range(TASKS):
        expected = by_scipy(examples[task], labels[task], 0.3, weights[task], offset[task])
        np.testing.assert_allclose(found.weights[task], expected, atol=1e-6)
    assert not np.any(found.bias)


@pytest.mark.parametrize("count,dim", [(6, 9), (30, 4)], ids=["by examples", "by dimensions"])
@pytest.mark.parametrize("C", [0.1, pytest.param(100.0, marks=pytest.mark.long)])
def test_with_a_bias_it_is_scikit_learns_logistic_regression(count, dim, C):
    examples, labels = problem(count, dim)
    found = solve(examples, labels, 1 / C, has_bias=True)
    for task in range(TASKS):
        model = LogisticRegression(C=C, max_iter=20_000, tol=1e-10).fit(examples[task], labels[task])
        scale = np.abs(model.coef_).max()
        np.testing.assert_allclose(found.weights[task], model.coef_, atol=1e-5 * scale)
        bias = found.bias[task] - tf.reduce_mean(found.bias[task])
        np.testing.assert_allclose(bias, model.intercept_ - model.intercept_.mean(), atol=1e-4 * scale)


def test_a_penalty_for_each_task_and_unknown_shapes():
    examples, labels = problem(6, 9)
    alone = [solve(examples, labels, penalty).weights[task] for task, penalty in enumerate((0.1, 2.0))]

    @tf.function(input_signature=[tf.TensorSpec([None, None, None], tf.float64), tf.TensorSpec([None, None], tf.int32)])
    def together(x, y):
        return solve(x, y, tf.constant([0.1, 2.0])).weights

    np.testing.assert_allclose(together(examples, labels.astype(np.int32)), alone, atol=1e-6)
