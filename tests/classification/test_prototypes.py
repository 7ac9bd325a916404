"""LEO whose decoder gives a correction to the class prototypes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, LEOConfig, RunConfig
from leo_tf.data import Episode
from leo_tf.errors import InputError

TASKS, WAYS, QUERIES, DIM = 2, 3, 4, 6
CONFIG = LEOConfig(
    inner_unroll_length=2,
    finetuning_unroll_length=2,
    num_latents=3,
    dropout_rate=0.0,
    encoder_penalty_weight=0.0,  # its stop-gradient makes the meta-gradient no derivative of the loss
    stochastic=False,
    prototype_residual=True,
    prototype_scale=4.0,
)


BIAS = {"feature_transform": "center", "prototype_bias": 0.75}


def make_episode(shots, constant=False):
    rng = np.random.default_rng(3)
    labels = np.arange(WAYS)[:, np.newaxis]

    def rows(size):
        found = rng.normal(size=(TASKS, WAYS, size, DIM))
        return np.concatenate([found, np.ones([*found.shape[:-1], 1])], axis=-1) if constant else found

    return Episode(
        rows(shots),
        np.broadcast_to(labels, (TASKS, WAYS, shots)).astype(np.int32),
        rows(QUERIES),
        np.broadcast_to(labels, (TASKS, WAYS, QUERIES)).astype(np.int32),
    )


def make_model(**changes):
    model = LEO(dataclasses.replace(CONFIG, **changes), DIM, seed=1, dtype="float64")
    model.finetuning_learning_rate.assign(np.linspace(0.01, 0.1, model.feature_dim))
    return model


def test_without_decoded_weights_it_is_the_scaled_prototypes():
    model, episode = make_model(inner_unroll_length=0, finetuning_unroll_length=0), make_episode(2)
    model.decoder.kernel.assign(np.zeros(model.decoder.kernel.shape))
    means = episode.support_x.mean(axis=2)
    expected = 4.0 * (means - means.mean(axis=1, keepdims=True))
    np.testing.assert_allclose(model.adapt(episode.support_x, episode.support_y), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("share", [1.0, 0.75])
def test_a_share_of_the_bias_and_with_all_of_it_nearest_class_mean_by_distance(share):
    changes = BIAS | {"prototype_bias": share, "inner_unroll_length": 0, "finetuning_unroll_length": 0}
    model, episode = make_model(**changes), make_episode(3, constant=True)
    model.decoder.kernel.assign(np.zeros(model.decoder.kernel.shape))
    classifier = model.adapt(episode.support_x, episode.support_y)
    queries = episode.query_x.reshape(TASKS, -1, DIM + 1)
    means = episode.support_x.mean(axis=2)
    squares = ((queries[:, :, np.newaxis] - means[:, np.newaxis]) ** 2).sum(axis=-1)
    rest = (1 - share) * (means[..., :-1] ** 2).sum(axis=-1)[:, np.newaxis]
    logits, expected = model.classify(queries, classifier).numpy(), -4.0 * (squares - rest) / 2
    relative = [each - each.mean(axis=-1, keepdims=True) for each in (logits, expected)]
    np.testing.assert_allclose(*relative, rtol=1e-6, atol=1e-8)


def test_a_scale_for_each_dimension_weighs_squared_distances():
    changes = BIAS | {"prototype_bias": 1.0, "inner_unroll_length": 0, "finetuning_unroll_length": 0}
    model, episode = make_model(**changes, warmup_steps=1), make_episode(3, constant=True)
    factors = np.linspace(0.5, 3.0, DIM)
    model.dimension_log_scales.assign(np.log(factors))
    model.decoder.kernel.assign(np.zeros(model.decoder.kernel.shape))
    classifier = model.adapt(episode.support_x, episode.support_y)
    queries = episode.query_x.reshape(TASKS, -1, DIM + 1)
    means = episode.support_x.mean(axis=2)
    distances = (factors * (queries[:, :, np.newaxis] - means[:, np.newaxis])[..., :-1] ** 2).sum(axis=-1)
    logits, expected = model.classify(queries, classifier).numpy(), -4.0 * distances / 2
    relative = [each - each.mean(axis=-1, keepdims=True) for each in (logits, expected)]
    np.testing.assert_allclose(*relative, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shots", [1, 3])
def test_training_evaluation_and_unequal_adaptation_agree(shots, bias):
    """Three ways to the same numbers: decoding in every step, scoring projected embeddings, and lists of examples."""
    changes = BIAS | {"support_temperature": 2.0, "warmup_steps": 1} if bias else {}
    model, episode = make_model(**changes), make_episode(shots, constant=bias)
    trained, evaluated = (model.meta_loss(episode, training, seed=0) for training in (True, False))
    np.testing.assert_allclose(trained.query_loss, evaluated.query_loss, rtol=1e-9)
    lists = (part.reshape(TASKS, WAYS * shots, *part.shape[3:]) for part in episode[:2])
    np.testing.assert_allclose(model.adapt_imbalanced(*lists), model.adapt(*episode[:2]), rtol=1e-7)


def test_the_supports_temperature_is_of_the_inner_loops_alone():
    temperature, steps, shots = 3.0, 2, 2
    model = make_model(inner_unroll_length=0, finetuning_unroll_length=steps, support_temperature=temperature)
    episode = make_episode(shots)
    model.decoder.kernel.assign(np.zeros(model.decoder.kernel.shape))
    x = episode.support_x.reshape(TASKS, -1, DIM)
    means = episode.support_x.mean(axis=2)
    expected = 4.0 * (means - means.mean(axis=1, keepdims=True))
    rates = np.linspace(0.01, 0.1, DIM) / shots
    for _ in range(steps):
        logits = x @ expected.transpose(0, 2, 1) / temperature
        odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
        off = odds / odds.sum(axis=-1, keepdims=True) - np.eye(WAYS)[episode.support_y.reshape(TASKS, -1)]
        expected = expected - rates * (off.transpose(0, 2, 1) @ x) / temperature
    np.testing.assert_allclose(model.adapt(*episode[:2]), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["prototype_log_scale", "support_log_temperature", "dimension_log_scales"])
def test_meta_gradients_of_the_scales_are_finite_differences(name):
    model, episode = make_model(support_temperature=2.0, warmup_steps=1), make_episode(2)
    variable = getattr(model, name)
    with tf.GradientTape() as tape:
        loss = model.meta_loss(episode, True, seed=0).loss
    found = np.ravel(tape.gradient(loss, variable.value))[0]
    start, losses = np.array(variable.numpy()), []
    for change in (1e-6, -1e-6):
        changed = np.array(start)
        changed[(0,) * start.ndim] += change
        variable.assign(changed)
        losses.append(float(model.meta_loss(episode, True, seed=0).loss))
    assert abs(found) > 1e-3
    assert found == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-5)


def test_it_is_off_by_default_and_no_setting_of_regression():
    assert len(LEO(LEOConfig(), DIM).meta_variables) == 7
    assert make_model().meta_variables[-1].shape == ()
    with pytest.raises(InputError, match=r"prototype_residual=True was given; expected false with problem=regression"):
        RunConfig(LEOConfig(prototype_residual=True, dropout_rate=0.0), problem="regression")
    with pytest.raises(InputError, match=r"support_temperature=2\.0 was given; expected 1 with problem=regression"):
        RunConfig(LEOConfig(support_temperature=2, dropout_rate=0.0), problem="regression")
    with pytest.raises(InputError, match="query_dropout='none' was given; expected all with problem=regression"):
        RunConfig(LEOConfig(query_dropout="none", dropout_rate=0.0), problem="regression")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"warmup_steps": 1}, "expected 0"),
        ({"decoder_init": "zero"}, "expected glorot"),
    ],
)
def test_settings_of_the_prototypes_need_them(setting, expected):
    with pytest.raises(InputError, match=f"was given; {expected} without prototype_residual"):
        LEOConfig(**setting)
