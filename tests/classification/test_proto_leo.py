"""ProtoLEO: LEO that corrects the classifier of PLDA, and fits it to the support."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, EmbeddingTable, EpisodeSampler, InputError, LEOConfig, ProtoLEO, ProtoLEOConfig, RunConfig
from leo_tf.classification.plda_classifier import plda_classifier
from leo_tf.classification.proto_leo_init import InitializationData
from leo_tf.classification.softmax_fit import corrected
from leo_tf.evaluation import fingerprint
from leo_tf.transforms import fit_plda, gain, principal_scatter

TASKS, WAYS, DIM, CLASSES, ROWS = 2, 3, 6, 5, 30
CONFIG = LEOConfig(
    inner_unroll_length=2,
    num_latents=3,
    dropout_rate=0.0,
    encoder_penalty_weight=0.0,  # its stop-gradient makes the meta-gradient no derivative of the loss
    stochastic=False,
)
PROTO = ProtoLEOConfig(within_class_shrinkage=0.3, between_class_shrinkage=0.3, fit_scale=5.0, latent_codes=True)


def table_of(seed, classes=CLASSES):
    rng = np.random.default_rng(seed)
    scatter = rng.normal(size=(DIM, DIM))
    rows = rng.normal(size=(classes, 1, DIM)) + 0.3 * rng.normal(size=(classes, ROWS, DIM)) @ scatter
    return EmbeddingTable.from_arrays(rows.reshape(-1, DIM), np.repeat(np.arange(classes), ROWS), source="arrays")


TRAINING = InitializationData(table_of(0), None, WAYS, "all")


def make_model(config=CONFIG, random_decoder=True, **changes):
    model = ProtoLEO(config, dataclasses.replace(PROTO, **changes), DIM, seed=1, dtype="float64")
    model.initialize(TRAINING)
    rng = np.random.default_rng(5)
    model.plda.correction.assign(rng.normal(size=(DIM, DIM)))
    if random_decoder and model.has_latents:
        model.decoder.kernel.assign(LEO(config, model.feature_dim, seed=1, dtype="float64").decoder.kernel)
    return model


def make_episode(shots, queries=4):
    episode = EpisodeSampler(table_of(1), WAYS, shots, queries).sample(seed=0, first_task=0, num_tasks=TASKS)
    return episode._replace(**{name: tf.cast(getattr(episode, name), tf.float64) for name in ("support_x", "query_x")})


def numpy_features(model, rows):
    """Features of embeddings in NumPy, step by step."""
    plda = fit_plda(principal_scatter(TRAINING.training.embeddings, TRAINING.training.class_sizes), 0.3).shrunk(0.3)
    z = (np.asarray(rows, np.float64) - plda.mean) @ plda.axes
    scaled = (z + 0.1 * z @ model.plda.correction.numpy()) * gain(plda.variances, 1)
    return scaled / np.linalg.norm(scaled, axis=-1, keepdims=True), plda


def test_features_equal_numpy():
    model, table = make_model(), table_of(1)
    expected, _ = numpy_features(model, table.embeddings)
    np.testing.assert_allclose(model.features(table.embeddings)[:, :-1], expected, atol=1e-6)
    np.testing.assert_allclose(model.feature_table(table).embeddings[:, :-1], expected, atol=1e-6)
    assert model.feature_table(table).digest == table.digest
    assert np.all(model.features(table.embeddings)[:, -1] == 1) and model.has_bias


@pytest.mark.parametrize("shots", [1, 4])
def test_without_codes_and_fit_it_is_the_classifier_of_plda(shots):
    model, episode = make_model(latent_codes=False, fit_penalty=0.0), make_episode(shots)
    support, plda = numpy_features(model, episode.support_x)
    metric = gain(plda.variances, 1)
    expected = plda_classifier(support.mean(axis=2), shots, plda.variances, metric, 10.0)
    np.testing.assert_allclose(model.adapt(*episode[:2]), expected, rtol=1e-6, atol=1e-6)
    trained = model.meta_loss(episode, training=True, seed=0)
    np.testing.assert_allclose(trained.query_loss, model.meta_loss(episode, training=False).query_loss, rtol=1e-6)


def test_the_fit_is_added_at_the_scale_of_the_number_of_shots():
    model, episode = make_model(latent_codes=False), make_episode(4)
    model.fit_log_scales.assign(np.log([2.0, 8.0, 8.0]))
    scale = 2.0 * 4 ** (np.log(4) / np.log(5))  # a straight line between the logarithms
    support, plda = numpy_features(model, episode.support_x)
    initial = plda_classifier(support.mean(axis=2), 4, plda.variances, gain(plda.variances, 1), scale)
    examples, targets = support.reshape(TASKS, -1, DIM), np.tile(np.repeat(np.eye(WAYS), 4, axis=0), (TASKS, 1, 1))
    expected = corrected(initial, tf.constant(examples), targets, np.ones(examples.shape[:2]), 0.05)
    assert np.abs(expected - initial).max() > 0.1
    np.testing.assert_allclose(model.adapt(*episode[:2]), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("codes", [True, False])
@pytest.mark.parametrize("shots", [1, pytest.param(3, marks=pytest.mark.long)])
def test_training_evaluation_and_imbalanced_adaptation_agree(shots, codes):
    """Three ways to the same numbers: decoding in every step, projected features, and lists of examples."""
    model, episode = make_model(latent_codes=codes, fit_penalty=0.0), make_episode(shots)
    trained, evaluated = (model.meta_loss(episode, training, seed=0) for training in (True, False))
    np.testing.assert_allclose(trained.query_loss, evaluated.query_loss, rtol=1e-6)
    fitted = make_model(latent_codes=codes)
    lists = (tf.reshape(part, (TASKS, WAYS * shots, *part.shape[3:])) for part in episode[:2])
    np.testing.assert_allclose(fitted.adapt_imbalanced(*lists), fitted.adapt(*episode[:2]), rtol=1e-4, atol=1e-5)


def test_unequal_classes_count_alike():
    """A class whose examples are repeated pulls the fit as before; only the shrinkage of its mean knows."""
    model = make_model(latent_codes=False)
    x = tf.convert_to_tensor(table_of(1).embeddings[:9:2], tf.float64)[tf.newaxis]
    labels = tf.constant([[0, 0, 1, 1, 2]])
    classifier = model.adapt_imbalanced(x, labels)
    order = [4, 1, 3, 0, 2]
    shuffled = model.adapt_imbalanced(tf.gather(x, order, axis=1), tf.gather(labels, order, axis=1))
    np.testing.assert_allclose(classifier, shuffled, atol=1e-5)
    assert classifier.shape == (1, WAYS, DIM + 1)


@pytest.mark.parametrize("name", ["log_scale", "support_log_temperature", "plda.log_variances", "plda.correction"])
def test_meta_gradients_equal_finite_differences(name):
    model, episode = make_model(), make_episode(2)
    owner, _, attribute = name.rpartition(".")
    variable = getattr(model.plda if owner else model, attribute)
    with tf.GradientTape() as tape:
        loss = model.meta_loss(episode, True, seed=0).loss
    found = np.ravel(tape.gradient(loss, variable.value))[0]
    start, losses = np.array(variable.numpy()), []
    for change in (1e-6, -1e-6):
        changed = np.array(start)
        changed[(0,) * start.ndim] += change
        variable.assign(changed)
        losses.append(float(model.meta_loss(episode, True, seed=0).loss))
    assert abs(found) > 1e-4
    assert found == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4)


def test_the_decoder_starts_at_zero_means():
    episode = make_episode(4)
    adapted = [make_model(random_decoder=False, latent_codes=codes).adapt(*episode[:2]) for codes in (True, False)]
    np.testing.assert_allclose(*adapted, atol=1e-6)


def test_the_spread_of_weights_is_bounded_however_far_codes_move():
    model = ProtoLEO(LEOConfig(), PROTO, DIM, seed=0)
    far = 1e4 * np.random.default_rng(0).normal(size=(1, WAYS, 64)).astype(np.float32)
    near, stddev = (model.decode(codes).stddev().numpy() for codes in (0 * far, far))
    assert np.all(np.abs(np.log10(stddev / near)) <= 1 + 1e-6)
    assert not np.all(np.isfinite(LEO(LEOConfig(), DIM, seed=0).decode(far).stddev()))


def test_variables():
    assert len(LEO(LEOConfig(), DIM).meta_variables) == 7
    assert [len(make_model(latent_codes=codes).meta_variables) for codes in (True, False)] == [10, 3]
    assert [each.shape for each in make_model().fixed_variables] == [(DIM,), (DIM, DIM), (DIM,), (3,)]


def test_fingerprint_depends_on_the_transform():
    model = make_model()
    before, axes = fingerprint(model), model.plda.axes.numpy()
    model.plda.axes.assign(axes + 1)
    assert fingerprint(model) != before
    model.plda.axes.assign(axes)
    assert fingerprint(model) == before


@pytest.mark.long
def test_settings_are_chosen_on_validation_tasks_once():
    data = TRAINING._replace(validation=table_of(2))
    model = ProtoLEO(CONFIG, ProtoLEOConfig(), DIM, seed=0)
    found = model.initialize(data)
    fits = ["fit_scale_1_shot", "fit_scale_5_shot", "fit_scale_20_shot"]
    assert list(found.chosen) == ["within_class_shrinkage", "between_class_shrinkage", *fits]
    assert 1 / WAYS < found.measured["plda_accuracy"] <= 1
    np.testing.assert_allclose(np.exp(model.fit_log_scales), [found.chosen[name] for name in fits], rtol=1e-6)
    again = ProtoLEO(CONFIG, ProtoLEOConfig(), DIM, seed=0)
    assert again.initialize(TRAINING, found) == found  # without validation data
    assert fingerprint(again) == fingerprint(model)
    with pytest.raises(InputError, match=r"fit_scale are auto.*metavalid_tasks=0 was given; expected validation tasks"):
        ProtoLEO(CONFIG, ProtoLEOConfig(), DIM).initialize(TRAINING)


def doubled(table):
    labels = np.repeat(table.class_names, 2 * table.class_sizes)
    return EmbeddingTable.from_arrays(np.repeat(table.embeddings, 2, axis=0), labels, normalize=False)


def table_of_small_classes(seed, copies):
    """Close classes of 12 rows in 20 dimensions, of which there are this many copies each."""
    rng = np.random.default_rng(seed)
    rows = 0.3 * rng.normal(size=(CLASSES, 1, 20)) + rng.normal(size=(CLASSES, 12, 20))
    labels = np.repeat(np.arange(CLASSES), 12 * copies)
    return EmbeddingTable.from_arrays(np.repeat(rows.reshape(-1, 20), copies, axis=0), labels)


def test_duplicates_change_nothing(caplog):
    """A query whose copy is in the support would favour another shrinkage, one that memorises the support."""
    caplog.set_level("INFO")

    def initialized(copies, previous=None):
        data = InitializationData(*(table_of_small_classes(seed, copies) for seed in (0, 2)), WAYS, "all")
        model = ProtoLEO(CONFIG, ProtoLEOConfig(), 20, seed=0)
        return model.initialize(data, previous), fingerprint(model)

    expected, found = initialized(1), initialized(2)
    assert found == expected
    assert initialized(2, found[0]) == expected  # a resumed run
    assert [line.startswith("Left 60 duplicate rows") for line in caplog.messages] == [True, True]


def test_it_is_saved_and_loaded_by_keras(tmp_path):
    model, episode = make_model(), make_episode(2)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
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
    with pytest.raises(InputError, match=r"fit_scale='much' was given; expected auto, or a number from 1e-06"):
        ProtoLEOConfig(fit_scale="much")
    config = RunConfig(proto_leo=ProtoLEOConfig(fit_scale=3), algorithm="proto_leo")
    assert RunConfig.from_json(config.to_json()) == config
    assert config.flat()["fit_scale"] == 3.0 and config.flat()["within_class_shrinkage"] == "auto"
