"""gradients: the NaN guard, and limits by value and then by norm."""

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import gradients
from leo_tf.training.strategy import make_strategy

WEIGHTS = [np.array([[2.0, -3.0], [0.5, 0.0]], np.float32), np.array([[7.0]], np.float32)]
RATES = [np.array([1.0, 4.0], np.float32)]
GRADIENTS = [np.array([[0.1, 0.2], [-0.3, 0.4]], np.float32), np.array([[0.5]], np.float32), np.array([0.6, -0.7])]


def guard(loss, values, function=gradients.guard):
    return function(
        tf.constant(loss), [tf.constant(v, tf.float32) for v in values], [tf.Variable(v) for v in WEIGHTS + RATES], 2
    )


def planted(variable, place, value):
    values = [np.array(v, np.float32) for v in GRADIENTS]
    values[variable][place] = value
    return values


def assert_pulled(outcome):
    values, replaced = outcome
    assert bool(replaced)
    for value, weight in zip(values, WEIGHTS, strict=False):
        np.testing.assert_allclose(value, 1e-4 * weight, rtol=1e-6)
    np.testing.assert_array_equal(values[2], [0.0, 0.0])


def test_numbers_pass_untouched():
    values, replaced = guard(1.5, GRADIENTS)
    assert not bool(replaced)
    for value, given in zip(values, GRADIENTS, strict=True):
        np.testing.assert_array_equal(value, given.astype(np.float32))


def test_nan_loss_is_replaced():
    assert_pulled(guard(np.nan, GRADIENTS))


@pytest.mark.parametrize("variable,place", [(0, (0, 0)), (0, (1, 1)), (1, (0, 0)), (2, 0), (2, 1)])
def test_one_nan_element_replaces_every_gradient(variable, place):
    assert_pulled(guard(1.5, planted(variable, place, np.nan)))
    assert_pulled(guard(1.5, planted(variable, place, np.nan), tf.function(gradients.guard)))


def test_a_nan_beside_infinities_is_still_replaced():
    assert_pulled(guard(np.inf, planted(0, (0, 0), np.nan)))


@pytest.mark.parametrize("loss,value", [(np.inf, 0.1), (1.5, np.inf), (1.5, -np.inf)])
def test_infinity_alone_is_left_to_the_limits(loss, value):
    values, replaced = guard(loss, planted(0, (0, 0), value))
    assert not bool(replaced)
    assert values[0].numpy()[0, 0] == np.float32(value)


def test_value_limit_comes_before_norm_limit():
    (value,) = gradients.clip([tf.constant([0.3, -0.05])], 0.1, 0.1)
    # To [0.1, -0.05], of norm 0.1118, then to norm 0.1. The other order would give [0.0986, -0.0164].
    np.testing.assert_allclose(value, np.array([0.1, -0.05]) * 0.1 / np.hypot(0.1, 0.05), rtol=1e-6)


def test_norm_limit_is_each_variables_own():
    values = gradients.clip([tf.constant([0.06, 0.08]), tf.constant([0.05]), tf.constant([[0.6, 0.8]])], 10.0, 0.1)
    for value, expected in zip(values, [[0.06, 0.08], [0.05], [[0.06, 0.08]]], strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_limiting_twice_changes_nothing():
    rng = np.random.default_rng(0)
    given = [tf.constant(rng.normal(size=shape) * scale) for shape, scale in [((5, 4), 1), (3, 0.01), (7, 100)]]
    once = gradients.clip(given, 0.1, 0.25)
    for first, second in zip(once, gradients.clip(once, 0.1, 0.25), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-15)
    np.testing.assert_allclose(gradients.norms(once)[::2], [0.25, 0.25], rtol=1e-12)
    np.testing.assert_array_equal(once[1], given[1])


def test_zero_is_no_limit():
    given = [tf.constant([30.0, -40.0])]
    np.testing.assert_array_equal(gradients.clip(given, 0, 0)[0], [30, -40])
    np.testing.assert_array_equal(gradients.clip(given, 35.0, 0)[0], [30, -35])
    np.testing.assert_allclose(gradients.clip(given, 0, 5.0)[0], [3, -4], rtol=1e-6)


def test_a_zero_gradient_stays_zero():
    np.testing.assert_array_equal(gradients.clip([tf.zeros([3])], 0.1, 0.1)[0], [0, 0, 0])


def test_norms():
    np.testing.assert_allclose(gradients.norms([tf.constant([[3.0, 4.0]]), tf.constant([-2.0])]), [5, 2], rtol=1e-6)


@pytest.mark.parametrize("shares,values,expected", [((0.75, 0.25), (1.0, 5.0), 2.0), ((1.0, 0.0), (3.0, np.nan), 3.0)])
def test_a_mean_over_unequal_replicas(shares, values, expected):
    """A replica without tasks, as in a last batch of one, has a mean of NaN that does not count."""
    strategy = make_strategy("mirrored", 2)

    def take(numbers):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(numbers[context.replica_id_in_sync_group], tf.float32)
        )

    found = strategy.run(
        lambda value, share: gradients.mean_over_replicas([value, tf.stack([value, 2 * value])], share),
        args=(take(values), take(shares)),
    )
    for ours, theirs in zip(found, (expected, [expected, 2 * expected]), strict=True):
        for copy in strategy.experimental_local_results(ours):
            np.testing.assert_allclose(copy, theirs)
