"""The model against golden/golden_5w1s.npz: loss, classifier and meta-gradients as the official code computes them."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, Episode, LEOConfig

VARIABLES = ("encoder", "relation0", "relation1", "relation2", "decoder", "latent_lr", "finetune_lr")
# Largest error relative to the largest magnitude. The file holds float32 gradients of a float64 computation.
TOLERANCE = {"float32": 1e-4, "float64": 1e-6}


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parents[1] / "golden" / "golden_5w1s.npz") as file:
        return dict(file)


@pytest.fixture(scope="module", params=list(TOLERANCE))
def computed(request, golden):
    """(dtype, MetaLossOutput, classifier, {variable: meta-gradient}) of the golden weights and meta-batch."""
    dtype = request.param
    model = LEO(LEOConfig(l2_penalty_weight=1e-4, orthogonality_penalty_weight=0.3), 640, dtype=dtype)
    for name, variable in zip(VARIABLES, model.meta_variables, strict=True):
        variable.assign(golden[name])
    episode = Episode(*(part for x in ("support_x", "query_x") for part in _labelled(golden[x], dtype)))
    with tf.GradientTape() as tape:
        outcome = model.meta_loss(episode, training=False)
    values = tape.gradient(outcome.loss, [variable.value for variable in model.meta_variables])
    classifier = model.adapt(episode.support_x, episode.support_y)
    return dtype, outcome, classifier, dict(zip(VARIABLES, values, strict=True))


def _labelled(rows, dtype):
    labels = np.broadcast_to(np.arange(rows.shape[1], dtype=np.int32)[:, None], rows.shape[:3])
    return tf.constant(rows, dtype), tf.constant(labels)


def assert_close(actual, expected, tolerance):
    assert np.max(np.abs(actual - expected)) <= tolerance * np.max(np.abs(expected))


def test_parameter_count_is_the_official_one():
    model = LEO()
    assert [tuple(v.shape) for v in model.meta_variables] == [
        *[(640, 64), (128, 128), (128, 128), (128, 128), (64, 1280)],
        *[(64,), (640,)],
    ]
    assert model.count_params() == 172_736
    assert len(model.trainable_variables) == 7
    assert not model.non_trainable_variables


def test_initial_rates_are_the_official_ones():
    model = LEO()
    np.testing.assert_array_equal(model.latent_learning_rate, np.ones(64, np.float32))
    np.testing.assert_array_equal(model.finetuning_learning_rate, np.full(640, 0.001, np.float32))


def test_initial_matrices_are_glorot_uniform():
    for seed in (None, 3):
        for matrix in LEO(seed=seed).regularized_weights:
            rows, columns = matrix.shape
            limit = np.sqrt(6 / (rows + columns))
            values = np.asarray(matrix)
            assert 0.999 * limit < np.abs(values).max() <= limit
            # The standard deviation of a uniform sample of n numbers is itself known to sqrt(0.2 / n).
            assert abs(values.std() * np.sqrt(3) / limit - 1) < 4 * np.sqrt(0.2 / values.size)
            assert abs(values.mean()) < 4 * limit / np.sqrt(3 * values.size)


def test_loss(computed, golden):
    dtype, outcome, _, _ = computed
    assert_close(outcome.loss, golden["loss"], TOLERANCE[dtype])
    assert_close(outcome.regularization, golden["reg"], TOLERANCE[dtype])
    assert np.mean(outcome.accuracy) == pytest.approx(golden["accuracy"], rel=1e-6)
    np.testing.assert_array_equal(outcome.kl, np.zeros(3))
    np.testing.assert_array_equal(outcome.encoder_penalty, np.zeros(3))


def test_classifier(computed, golden):
    dtype, _, classifier, _ = computed
    assert_close(classifier, golden["classifier"], TOLERANCE[dtype])


@pytest.mark.parametrize("name", VARIABLES)
def test_meta_gradient(computed, golden, name):
    dtype, _, _, values = computed
    assert_close(values[name], golden[f"g_{name}"], TOLERANCE[dtype])
