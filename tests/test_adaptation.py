"""Inner loops with clipped gradients against steps by hand."""

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, InputError, LEOConfig, MAMLConfig, adaptation
from leo_tf.classification.maml import MAML

RATE = tf.constant(0.5, tf.float64)


def square(values, _):
    """Its gradient is `values`."""
    return 0.5 * tf.reduce_sum(values**2)


def descend(values, steps=1, **kwargs):
    return adaptation.descend(tf.constant(values, tf.float64), square, RATE, steps, **kwargs)[-1]


def test_a_step_by_hand():
    """(3, 4) has a gradient of norm 5, cut to (0.6, 0.8); (0.3, 0.4) has 0.5, which stays."""
    found = descend([[3.0, 4.0], [0.3, 0.4]], norm_limit=1.0)
    np.testing.assert_allclose(found, [[2.7, 3.6], [0.15, 0.2]], rtol=1e-12)
    np.testing.assert_allclose(descend([[3.0, 4.0]], norm_limit=5.0), [[1.5, 2.0]], rtol=1e-12)


def test_two_steps_by_hand():
    """From 2: the gradient 2 is cut to 1, to 1.5; then 1.5 is cut to 1, to 1; then 1 is not."""
    np.testing.assert_allclose(descend([[2.0]], 2, norm_limit=1.0), [[1.0]], rtol=1e-12)
    np.testing.assert_allclose(descend([[2.0]], 3, norm_limit=1.0), [[0.5]], rtol=1e-12)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 2, 3)], ids=str)
def test_the_norm_is_taken_per_task(shape):
    values = np.random.default_rng(0).normal(size=shape)
    found = descend(values, norm_limit=0.7)
    for task in range(4):
        scale = min(1.0, 0.7 / np.sqrt(np.sum(values[task] ** 2)))
        np.testing.assert_allclose(found[task], values[task] * (1 - 0.5 * scale), rtol=1e-12)
        alone = descend(values[task : task + 1], norm_limit=0.7)
        np.testing.assert_array_equal(alone[0], found[task])


def test_zero_and_huge_gradients():
    np.testing.assert_array_equal(descend([[0.0, 0.0]], norm_limit=1.0), [[0.0, 0.0]])
    with tf.GradientTape() as tape:
        start = tf.zeros([1, 2], tf.float64)
        tape.watch(start)
        end = adaptation.descend(start, square, RATE, 2, norm_limit=1.0)[-1]
    np.testing.assert_allclose(tape.gradient(end, start), [[0.25, 0.25]], rtol=1e-12)
    values = tf.constant([[1e15, 0.0]])
    end = adaptation.descend(values, square, 1e15, 1, norm_limit=1.0)[-1]
    np.testing.assert_allclose(end, [[0.0, 0.0]], atol=1e9)


def test_without_a_limit_nothing_is_added_to_the_graph():
    def operations(**kwargs):
        function = tf.function(lambda v: adaptation.descend(v, square, RATE, 2, **kwargs)[-1])
        graph = function.get_concrete_function(tf.TensorSpec([3, 2], tf.float64)).graph
        return [operation.type for operation in graph.get_operations()]

    assert operations() == operations(norm_limit=0.0)
    assert "Rsqrt" not in operations() and operations(norm_limit=1.0).count("Rsqrt") == 2


def test_a_limit_that_is_not_reached_changes_nothing():
    values = np.random.default_rng(1).normal(size=(5, 3))
    np.testing.assert_array_equal(descend(values, 3, norm_limit=1e6), descend(values, 3))
    once = adaptation._clipped(tf.constant(100 * values), 0.3)
    np.testing.assert_allclose(np.linalg.norm(once, axis=1), np.full(5, 0.3), rtol=1e-12)
    np.testing.assert_allclose(adaptation._clipped(once, 0.3), once, rtol=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
def test_the_gradient_passes_through_the_limit(first_order):
    """v - rate v / |v|: its derivative is 1 along v and 1 - rate / |v| across; held constant, 1 in every direction."""
    start = tf.constant([[3.0, 4.0]], tf.float64)
    across, along = np.array([-0.8, 0.6]), np.array([0.6, 0.8])
    with tf.GradientTape() as tape:
        tape.watch(start)
        end = adaptation.descend(start, square, RATE, 1, first_order, norm_limit=1.0)[-1]
    jacobian = np.asarray(tape.jacobian(end, start))[0, :, 0]
    np.testing.assert_allclose(jacobian @ along, along, atol=1e-12)
    np.testing.assert_allclose(jacobian @ across, across * (1.0 if first_order else 0.9), atol=1e-12)


def test_adapt_clips_in_both_loops():
    """The latent 2 with gradient 2 goes to 1.5, decodes to 15; its gradient 15 is cut to 1 as well."""
    path = adaptation.adapt(
        *(tf.constant([[2.0]], tf.float64), lambda z, _: 10 * z, square),
        lambda theta, loss: adaptation.descend(theta, loss, RATE, 1, norm_limit=1.0),
        *(RATE, 1),
        norm_limit=1.0,
    )
    np.testing.assert_allclose(path.latents[-1], [[1.5]], rtol=1e-12)
    np.testing.assert_allclose(path.parameters[-1], [[14.5]], rtol=1e-12)


@pytest.mark.parametrize("kind,settings", [(LEO, LEOConfig), (MAML, MAMLConfig)])
def test_classification_has_no_limit(kind, settings):
    config = settings(inner_gradient_norm_threshold=2.5)
    with pytest.raises(InputError, match=r"inner_gradient_norm_threshold=2\.5 .* expected 0: only regression"):
        kind(config, 8)


def test_the_trajectory_holds_every_step():
    """Codes 2, 1, 0.5 and parameters of ten times them; then a step on these, whose gradient is themselves."""
    path = adaptation.adapt(
        tf.constant([[2.0]], tf.float64),
        lambda z, _: 10 * z,
        lambda theta, _: 0.005 * tf.reduce_sum(theta**2),
        lambda theta, loss: adaptation.descend(theta, loss, tf.constant(100.0, tf.float64), 1),
        *(RATE, 2),
    )
    assert [float(z[0, 0]) for z in path.latents] == pytest.approx([2.0, 1.0, 0.5])
    assert [float(theta[0, 0]) for theta in path.parameters] == pytest.approx([5.0, 0.0], abs=1e-12)
