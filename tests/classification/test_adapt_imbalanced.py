"""Adaptation to classes of any size against the oracle, and against `adapt` where the sizes are equal."""

import numpy as np
import oracle
import pytest
import tensorflow as tf

from leo_tf import LEO, LEOConfig
from leo_tf.classification.maml import MAML
from leo_tf.layers import relation

DIM, STEPS = 8, (3, 2)


@pytest.fixture(scope="module")
def model():
    return make_model()


def make_model(**changes):
    """A float64 model whose every learning rate differs."""
    rng = np.random.default_rng(5)
    config = LEOConfig(num_latents=4, inner_unroll_length=STEPS[0], finetuning_unroll_length=STEPS[1], **changes)
    model = LEO(config, DIM, dtype="float64", seed=1)
    model.latent_learning_rate.assign(rng.uniform(0.05, 0.5, 4))
    model.finetuning_learning_rate.assign(rng.uniform(0.05, 0.6, DIM))
    return model


@pytest.mark.parametrize("counts", [[1, 1, 1], [4, 1, 2], [1, 7], [3]])
def test_equals_the_oracle(model, counts):
    rng = np.random.default_rng(len(counts))
    labels = np.stack([rng.permutation(np.repeat(np.arange(len(counts)), counts)) for _ in range(2)])
    support = rng.normal(size=(*labels.shape, DIM))
    weights = [variable.numpy() for variable in model.meta_variables]
    expected = [oracle.adapt_imbalanced(weights, x, y, STEPS) for x, y in zip(support, labels, strict=True)]
    np.testing.assert_allclose(model.adapt_imbalanced(support, labels), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("changes", [{}, {"codes_per_class": "class"}, {"codes_from": "prior"}])
@pytest.mark.parametrize(("ways", "shots"), [pytest.param(5, 1, marks=pytest.mark.long), (4, 3)])
def test_equal_sizes_in_any_order_give_adapt(make_episode, ways, shots, changes):
    model = make_model(**changes)
    episode = make_episode(tasks=3, ways=ways, shots=shots)
    expected = model.adapt(episode.support_x, episode.support_y)
    order = np.random.default_rng(0).permutation(ways * shots)
    support = tf.gather(tf.reshape(episode.support_x, [3, ways * shots, DIM]), order, axis=1)
    labels = tf.gather(tf.reshape(episode.support_y, [3, ways * shots]), order, axis=1)
    np.testing.assert_allclose(model.adapt_imbalanced(support, labels), expected, rtol=1e-10)
    np.testing.assert_allclose(model.adapt_imbalanced(support, labels, ways), expected, rtol=1e-10)


def test_saying_a_class_twice_changes_nothing(model):
    """More examples of a class bring what they say, not more weight."""
    support, labels = np.random.default_rng(3).normal(size=(1, 4, DIM)), np.array([[0, 1, 1, 2]])
    again = [0, 1, 2, 3, 1, 2, 1, 2]
    np.testing.assert_allclose(
        model.adapt_imbalanced(support[:, again], labels[:, again]), model.adapt_imbalanced(support, labels), rtol=1e-10
    )


@pytest.mark.parametrize("changes", [{}, {"codes_per_class": "class"}, {"codes_from": "prior"}, None])
def test_a_weight_counts_as_that_many_examples(changes):
    """Only their ratios within a class matter, but for codes from the prior and one code per class."""
    model = MAML(embedding_dim=DIM, ways=3, dtype="float64") if changes is None else make_model(**changes)
    rng = np.random.default_rng(6)
    support, labels, counts = rng.normal(size=(1, 6, DIM)), np.array([[0, 1, 1, 2, 2, 2]]), np.array([2, 1, 3, 1, 2, 2])
    again = np.repeat(np.arange(6), counts)
    expected = model.adapt_imbalanced(support[:, again], labels[:, again])
    assert np.abs(expected - model.adapt_imbalanced(support, labels)).max() > 1e-3
    scale = 0.5 if changes in ({}, None) else 1.0
    found = model.adapt_imbalanced_features(tf.constant(support), tf.constant(labels), 3, [scale * counts])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.long
def test_pairs_row_by_row_give_the_same(model, monkeypatch):
    """As they are taken where all at once would fill the memory."""
    rng = np.random.default_rng(4)
    support, labels = rng.normal(size=(2, 6, DIM)), np.array([[0, 1, 1, 2, 1, 0], [2, 1, 0, 0, 0, 0]])
    expected = model.adapt_imbalanced(support, labels)
    monkeypatch.setattr(relation, "PAIRS_AT_ONCE", 71)  # there are 72
    np.testing.assert_allclose(model.adapt_imbalanced(support, labels), expected, rtol=1e-12)
    np.testing.assert_allclose(tf.function(model.adapt_imbalanced)(support, tf.constant(labels)), expected, rtol=1e-12)
