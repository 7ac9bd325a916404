"""ProtoLEO: LEO that corrects a classifier of scaled class prototypes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, LEOConfig, ProtoLEO, ProtoLEOConfig, RunConfig
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
)
NO_STEPS = dataclasses.replace(CONFIG, inner_unroll_length=0, finetuning_unroll_length=0)
PROTO = ProtoLEOConfig(
    "none", prototype_scale=4.0, prototype_bias=0, support_temperature=1, warmup_steps=0, query_dropout="all"
)


def make_episode(shots):
    """Rows of unit length, which the transform "none" leaves as they are."""
    rng = np.random.default_rng(3)
    labels = np.arange(WAYS)[:, np.newaxis]

    def rows(size):
        found = rng.normal(size=(TASKS, WAYS, size, DIM))
        return found / np.linalg.norm(found, axis=-1, keepdims=True)

    return Episode(
        rows(shots),
        np.broadcast_to(labels, (TASKS, WAYS, shots)).astype(np.int32),
        rows(QUERIES),
        np.broadcast_to(labels, (TASKS, WAYS, QUERIES)).astype(np.int32),
    )


def make_model(config=CONFIG, random_decoder=False, **changes):
    model = ProtoLEO(config, dataclasses.replace(PROTO, **changes), DIM, seed=1, dtype="float64")
    model.finetuning_learning_rate.assign(np.linspace(0.01, 0.1, model.feature_dim))
    if random_decoder:
        model.decoder.kernel.assign(LEO(config, model.feature_dim, seed=1, dtype="float64").decoder.kernel)
    return model


def test_initial_classifier_is_the_scaled_prototypes():
    model, episode = make_model(NO_STEPS), make_episode(2)
    means = episode.support_x.mean(axis=2)
    expected = 4.0 * (means - means.mean(axis=1, keepdims=True))
    np.testing.assert_allclose(model.adapt(episode.support_x, episode.support_y), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("bias", [1.0, 0.75])
def test_full_bias_gives_nearest_class_mean_by_distance(bias):
    model, episode = make_model(NO_STEPS, prototype_bias=bias), make_episode(3)
    classifier = model.adapt(episode.support_x, episode.support_y)
    assert model.has_bias and classifier.shape == (TASKS, WAYS, DIM + 1)
    queries = episode.query_x.reshape(TASKS, -1, DIM)
    means = episode.support_x.mean(axis=2)
    squares = ((queries[:, :, np.newaxis] - means[:, np.newaxis]) ** 2).sum(axis=-1)
    rest = (1 - bias) * (means**2).sum(axis=-1)[:, np.newaxis]
    logits, expected = model.classify(queries, classifier).numpy(), -4.0 * (squares - rest) / 2
    relative = [each - each.mean(axis=-1, keepdims=True) for each in (logits, expected)]
    np.testing.assert_allclose(*relative, rtol=1e-6, atol=1e-8)


def test_per_dimension_scales_weight_squared_distances():
    model, episode = make_model(NO_STEPS, prototype_bias=1.0, warmup_steps=1), make_episode(3)
    factors = np.linspace(0.5, 3.0, DIM)
    model.dimension_log_scales.assign(np.log(factors))
    classifier = model.adapt(episode.support_x, episode.support_y)
    queries = episode.query_x.reshape(TASKS, -1, DIM)
    means = episode.support_x.mean(axis=2)
    distances = (factors * (queries[:, :, np.newaxis] - means[:, np.newaxis]) ** 2).sum(axis=-1)
    logits, expected = model.classify(queries, classifier).numpy(), -4.0 * distances / 2
    relative = [each - each.mean(axis=-1, keepdims=True) for each in (logits, expected)]
    np.testing.assert_allclose(*relative, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shots", [1, 3])
def test_training_evaluation_and_imbalanced_adaptation_agree(shots, bias):
    """Three ways to the same numbers: decoding in every step, projected features, and lists of examples."""
    changes = {"prototype_bias": 0.75, "support_temperature": 2.0, "warmup_steps": 1} if bias else {}
    model, episode = make_model(random_decoder=True, **changes), make_episode(shots)
    trained, evaluated = (model.meta_loss(episode, training, seed=0) for training in (True, False))
    np.testing.assert_allclose(trained.query_loss, evaluated.query_loss, rtol=1e-9)
    lists = (part.reshape(TASKS, WAYS * shots, *part.shape[3:]) for part in episode[:2])
    np.testing.assert_allclose(model.adapt_imbalanced(*lists), model.adapt(*episode[:2]), rtol=1e-7)


def test_the_support_temperature_applies_to_the_inner_loops_alone():
    temperature, steps, shots = 3.0, 2, 2
    config = dataclasses.replace(CONFIG, inner_unroll_length=0, finetuning_unroll_length=steps)
    model, episode = make_model(config, support_temperature=temperature), make_episode(shots)
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
def test_meta_gradients_of_the_scales_equal_finite_differences(name):
    model = make_model(random_decoder=True, support_temperature=2.0, warmup_steps=1)
    episode, variable = make_episode(2), getattr(model, name)
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


def test_the_decoder_starts_at_zero_means():
    config = LEOConfig(5, 0, inner_lr_init=0.0)
    model = ProtoLEO(config, dataclasses.replace(PROTO, prototype_scale=10), embedding_dim=6, seed=0)
    x = make_episode(4).support_x.astype(np.float32)
    classifier = model.adapt(x, np.tile(np.arange(3)[:, np.newaxis], (2, 1, 4)))
    means = x.mean(axis=2)
    np.testing.assert_allclose(classifier, 10 * (means - means.mean(axis=1, keepdims=True)), rtol=1e-5, atol=1e-5)


def test_leo_has_seven_variables_and_protoleo_adds_scales():
    assert len(LEO(LEOConfig(), DIM).meta_variables) == 7
    model = make_model(support_temperature=2.0, warmup_steps=3)
    assert len(model.meta_variables) == 9 and [each.shape for each in model.scales] == [(), ()]
    assert [each.shape for each in model.warmup_variables] == [(DIM,)]
    assert len(make_model().meta_variables) == 8 and make_model().warmup_variables == []


def test_it_is_saved_and_loaded_by_keras(tmp_path):
    model = make_model(random_decoder=True, support_temperature=2.0, warmup_steps=1, prototype_bias=0.5)
    model.feature_transform.mean.assign(np.linspace(0, 1, DIM))
    model.save(tmp_path / "model.keras")
    import keras

    again, episode = keras.saving.load_model(tmp_path / "model.keras"), make_episode(2)
    assert again.proto_config == model.proto_config
    np.testing.assert_array_equal(again.adapt(*episode[:2]), model.adapt(*episode[:2]))


def test_regression_has_no_protoleo():
    with pytest.raises(InputError, match=r"algorithm='proto_leo' was given; expected leo or maml or metasgd with"):
        RunConfig(LEOConfig(dropout_rate=0.0), problem="regression", algorithm="proto_leo")


def test_sections_fit_the_algorithm():
    assert RunConfig(algorithm="proto_leo").proto_leo == ProtoLEOConfig()
    assert RunConfig().proto_leo is None
    with pytest.raises(InputError, match="RunConfig got ProtoLEOConfig for proto_leo; expected NoneType"):
        RunConfig(proto_leo=ProtoLEOConfig())
    with pytest.raises(InputError, match=r"prototype_scale='much' was given; expected auto, or a number from 1e-06"):
        ProtoLEOConfig(prototype_scale="much")
    config = RunConfig(proto_leo=ProtoLEOConfig(prototype_scale=3), algorithm="proto_leo")
    assert RunConfig.from_json(config.to_json()) == config
    assert config.flat()["prototype_scale"] == 3.0 and config.flat()["within_class_shrinkage"] == "auto"
