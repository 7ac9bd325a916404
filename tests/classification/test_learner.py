"""`adapt` takes labels in any order, and refuses what would be silently wrong."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, InputError, LEOConfig, MAMLConfig
from leo_tf.classification.maml import MAML

DIM = 8


@pytest.fixture(scope="module", params=["LEO", "MAML"])
def model(request):
    if request.param == "LEO":
        return LEO(LEOConfig(num_latents=4), DIM, seed=1, dtype="float64")
    return MAML(MAMLConfig(maml_steps=2), DIM, 3, dtype="float64")


def test_labels_in_any_order_give_the_same_classifier(model, make_episode):
    episode = make_episode(shots=2)
    expected = model.adapt(*episode[:2])
    rng = np.random.default_rng(0)
    support_x, support_y = (np.array(part).reshape(2, 6, *part.shape[3:]) for part in episode[:2])
    for task in range(2):
        order = rng.permutation(6)
        support_x[task], support_y[task] = support_x[task][order], support_y[task][order]
    support_x, support_y = support_x.reshape(2, 3, 2, DIM), support_y.reshape(2, 3, 2)
    assert (support_y != np.asarray(episode.support_y)).any()
    np.testing.assert_allclose(model.adapt(support_x, support_y), expected, rtol=1e-9)
    traced = tf.function(model.adapt)(tf.constant(support_x), tf.constant(support_y))
    np.testing.assert_allclose(traced, expected, rtol=1e-9)


@pytest.mark.parametrize(
    "labels,message",
    [
        ([[0, 0], [0, 0], [0, 0]], r"Task 1 has support labels 6 of 0; expected 2 of each of 0 to 2.*adapt_imbalanced"),
        ([[0, 0], [0, 1], [2, 2]], r"Task 1 has support labels 3 of 0, 1 of 1, 2 of 2; expected 2 of each"),
        ([[1, 1], [2, 2], [3, 3]], r"2 of 1, 2 of 2, 2 of 3; expected 2 of each of 0 to 2"),
        ([[-1, -1], [1, 1], [2, 2]], r"2 of -1"),
    ],
)
def test_labels_that_are_not_every_classs_are_refused(model, make_episode, labels, message):
    episode = make_episode(shots=2)
    support_y = np.array(episode.support_y)
    support_y[1] = labels
    with pytest.raises(InputError, match=message):
        model.adapt(episode.support_x, support_y)


def test_labels_of_another_kind_or_shape_are_refused(model, make_episode):
    episode = make_episode(shots=2)
    with pytest.raises(InputError, match=r"support_y has shape \(2, 3, 2\) and dtype float32; expected integers"):
        model.adapt(episode.support_x, tf.cast(episode.support_y, tf.float32))
    with pytest.raises(InputError, match=r"support_y has shape \(2, 6\)"):
        model.adapt(episode.support_x, tf.reshape(episode.support_y, [2, 6]))
    with pytest.raises(InputError, match=r"support_x has shape \(2, 3, 2, 8\) and support_y \(2, 3, 1\); expected"):
        model.adapt(episode.support_x, episode.support_y[:, :, :1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_support_that_is_not_finite_is_refused(model, make_episode, bad):
    episode = make_episode(shots=2)
    support_x = np.array(episode.support_x)
    support_x[1, 2, 0, 3] = bad
    with pytest.raises(InputError, match="support_x of task 1 holds NaN or infinity"):
        model.adapt(support_x, episode.support_y)


def test_a_learner_of_the_other_algorithms_settings_is_refused():
    with pytest.raises(InputError, match=r"LEO got a MAMLConfig; expected a LEOConfig"):
        LEO(MAMLConfig())


def test_the_graph_of_a_traced_loss_is_freed(make_episode):
    """TFP's bijectors keep what they computed in a cache of all bijectors, with the graph that it belongs to."""
    model = LEO(LEOConfig(1, 1, num_latents=4), 8, seed=0)
    episode = make_episode(dtype="float32")
    traced = tf.function(lambda: model.meta_loss(episode, training=True, seed=0).loss).get_concrete_function()
    graph = weakref.ref(traced.graph)
    del traced
    gc.collect()
    assert graph() is None
