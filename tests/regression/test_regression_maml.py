"""MAML and Meta-SGD on regression: their steps against NumPy, their meta-gradient, and that they start as LEO does."""

import dataclasses

import keras
import numpy as np
import pytest
import regression_oracle as oracle
import tensorflow as tf

from leo_tf import LEOConfig, MAMLConfig
from leo_tf.config import RegressionConfig, RunConfig
from leo_tf.regression.episodes import RegressionEpisode, RegressionSampler
from leo_tf.regression.leo import RegressionLEO
from leo_tf.regression.maml import RegressionMAML, RegressionMetaSGD
from leo_tf.runs.registry import problem_of

pytestmark = pytest.mark.long

KINDS = [RegressionMAML, RegressionMetaSGD]
CONFIG = MAMLConfig(maml_steps=3, maml_lr=0.02, dropout_rate=0.0, l2_penalty_weight=0.05)
SIZES = RegressionConfig(network_units=4)
UNITS, PARAMETERS, TASKS = (1, 4, 4, 1), 33, 3


def make_model(kind, **changes):
    rng = np.random.default_rng(2)
    model = kind(dataclasses.replace(CONFIG, **changes), SIZES, dtype="float64")
    model.initial_parameters.assign(0.6 * rng.normal(size=PARAMETERS))
    for rate in model.learning_rates:
        rate.assign(rng.uniform(0.005, 0.04, PARAMETERS))
    return model


@pytest.fixture(scope="module")
def episode():
    return RegressionEpisode(*(tf.cast(v, tf.float64) for v in RegressionSampler(5, 6).sample(1, 0, TASKS)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("limit", [0.0, 0.8])
def test_against_numpy(episode, kind, steps, limit):
    model = make_model(kind, maml_steps=steps, inner_gradient_norm_threshold=limit)
    start = model.initial_parameters.numpy()
    rate = model.learning_rates[0].numpy() if kind is RegressionMetaSGD else 0.02
    adapted, sampled = model.adapt(*episode[:2]), model.sample(*episode[:2])
    losses = []
    for task in range(TASKS):
        x, y, query_x, query_y = (part[task].numpy() for part in episode)
        theta = oracle.descend(start, x, y, UNITS, rate, steps, limit)
        assert np.isfinite(theta).all()
        np.testing.assert_allclose(adapted[task], theta, rtol=1e-8)
        losses.append(oracle.mse(theta, query_x, query_y, UNITS))
    np.testing.assert_array_equal(sampled, adapted)
    for training in (True, False):
        outcome = model.meta_loss(episode, training, seed=0)
        np.testing.assert_allclose(outcome.query_loss, losses, rtol=1e-8)
        np.testing.assert_array_equal([outcome.kl, outcome.encoder_penalty], np.zeros((2, TASKS)))
        np.testing.assert_allclose(outcome.loss, np.mean(losses) + 0.05 * np.sum(start**2) / 2, rtol=1e-8)


def test_equal_rates_make_meta_sgd_maml(episode):
    maml, other = make_model(RegressionMAML), make_model(RegressionMetaSGD)
    assert np.abs(maml.adapt(*episode[:2]) - other.adapt(*episode[:2])).max() > 1e-3
    other.learning_rate.assign(np.full(PARAMETERS, 0.02))
    np.testing.assert_allclose(other.adapt(*episode[:2]), maml.adapt(*episode[:2]), rtol=1e-12)
    gradients = []
    for model in (maml, other):
        with tf.GradientTape() as tape:
            loss = model.meta_loss(episode, True, seed=0).loss
        gradients.append(tape.gradient(loss, model.initial_parameters.value))
    np.testing.assert_allclose(*gradients, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [0.0, 0.8])
def test_meta_gradient(episode, kind, limit):
    """Central differences through all inner steps; to first order it is another gradient of the same loss."""
    model, rng = make_model(kind, inner_gradient_norm_threshold=limit), np.random.default_rng(7)
    first_order = make_model(kind, inner_gradient_norm_threshold=limit, first_order=True)
    evaluate = tf.function(lambda: model.meta_loss(episode, True, seed=1).loss)

    def gradients(of):
        with tf.GradientTape() as tape:
            loss = of.meta_loss(episode, True, seed=1).loss
        return float(loss), [np.asarray(g) for g in tape.gradient(loss, [v.value for v in of.meta_variables])]

    (loss, exact), (first_loss, first) = gradients(model), gradients(first_order)
    assert first_loss == loss
    for variable, gradient in zip(model.meta_variables, exact, strict=True):
        for _ in range(4):
            direction, value, ends = rng.normal(size=PARAMETERS), variable.numpy(), []
            for sign in (1, -1):
                variable.assign(value + sign * 1e-6 * direction)
                ends.append(float(evaluate()))
            variable.assign(value)
            np.testing.assert_allclose((ends[0] - ends[1]) / 2e-6, gradient @ direction, rtol=2e-6, atol=1e-7)
    for gradient, approximate in zip(exact, first, strict=True):
        assert np.linalg.norm(gradient - approximate) > 1e-2 * np.linalg.norm(gradient)


def test_to_first_order_the_meta_gradient_is_the_query_gradient_at_the_adapted_parameters(episode):
    model = make_model(RegressionMAML, first_order=True, l2_penalty_weight=0.0)
    with tf.GradientTape() as tape:
        loss = model.meta_loss(episode, True, seed=0).loss
    adapted = model.adapt(*episode[:2]).numpy()
    expected = [
        oracle.mse_gradient(adapted[t], *(part[t].numpy() for part in episode[2:]), UNITS) for t in range(TASKS)
    ]
    np.testing.assert_allclose(
        tape.gradient(loss, model.initial_parameters.value), np.mean(expected, axis=0), rtol=1e-8, atol=1e-12
    )


@pytest.mark.parametrize("algorithm,kind", [("maml", RegressionMAML), ("metasgd", RegressionMetaSGD)])
def test_built_from_a_run_they_start_where_leo_starts(algorithm, kind):
    """The run's own steps and rate, and the network that LEO's decoder has in its bias."""

    def built(model, algorithm, seed):
        sizes = dataclasses.replace(SIZES, encoder_units=4, decoder_units=4, relation_units=4)
        config = RunConfig(model, regression=sizes, problem="regression", algorithm=algorithm)
        return problem_of(config).build_learner({}, seed)

    settings = dataclasses.replace(CONFIG, maml_steps=2, maml_lr=0.03)
    model = built(settings, algorithm, 6)
    leo = built(LEOConfig(num_latents=3, dropout_rate=0.0), "leo", 6)
    assert type(model) is kind and type(leo) is RegressionLEO
    assert (model.config.maml_steps, model.config.maml_lr) == (2, 0.03)
    np.testing.assert_array_equal(model.initial_parameters, leo.decoder.biases[-1][:PARAMETERS])
    assert np.abs(built(settings, algorithm, 7).initial_parameters - model.initial_parameters).max() > 0.1
    for rate in model.learning_rates:
        np.testing.assert_array_equal(rate, np.full(PARAMETERS, np.float32(0.03)))
    assert [tuple(v.shape) for v in model.trainable_variables] == [(PARAMETERS,)] * (1 + (algorithm == "metasgd"))
    assert model.normals_per_task == 0


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_and_fitted(kind, tmp_path):
    sampler = RegressionSampler(5, 6)
    dataset = tf.data.Dataset.range(20).map(lambda i: sampler.sample(0, i * 8, 8))
    config = dataclasses.replace(CONFIG, maml_lr=0.005, inner_gradient_norm_threshold=10)
    model = kind(config, SIZES, seed=0)
    model.compile(keras.optimizers.Adam(0.01), gradient_threshold=0, gradient_norm_threshold=10)
    before = model.evaluate(dataset, return_dict=True, verbose=0)
    model.fit(dataset, epochs=4, verbose=0)
    assert model.evaluate(dataset, return_dict=True, verbose=0)["query_loss"] < 0.9 * before["query_loss"]
    model.save(tmp_path / "model.keras")
    loaded, episode = keras.saving.load_model(tmp_path / "model.keras"), sampler.sample(3, 0, 4)
    assert type(loaded) is kind and (loaded.config, loaded.regression) == (config, SIZES)
    np.testing.assert_array_equal(loaded(episode), model(episode))
