"""What a model beyond the paper starts from, chosen on validation tasks."""

import copy
import csv
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, EmbeddingTable, EpisodeSampler, LEOConfig, MetaTraining, RunConfig, Trainer, randomness
from leo_tf.classification.prototype_init import choose_start, prototype_logits
from leo_tf.classification.tasks import draw_from
from leo_tf.config import DataConfig, EpisodeConfig, TrainingConfig
from leo_tf.data import transform
from leo_tf.errors import InputError
from leo_tf.evaluation.calibration import fit_temperature


def _classes(count, size, noise, seed):
    """Classes that differ in the first two of eight dimensions, and scatter most in the others."""
    rng = np.random.default_rng(seed)
    centres = np.concatenate([rng.normal(size=(count, 2)), np.zeros((count, 6))], axis=1)
    spread = np.array([0.3, 0.3, *[noise] * 6])
    x = np.repeat(centres, size, axis=0) + spread * rng.normal(size=(count * size, 8))
    return EmbeddingTable.from_arrays(x.astype(np.float32), np.repeat(np.arange(count), size))


def test_logits_are_of_class_means_less_their_mean():
    rng = np.random.default_rng(0)
    embeddings, rows = rng.normal(size=(30, 4)), rng.permutation(30).reshape(2, 3, 5)
    logits = prototype_logits(embeddings, rows, shots=2)
    for task in range(2):
        means = embeddings[rows[task, :, :2]].mean(axis=1)
        queries = embeddings[rows[task, :, 2:].ravel()]
        np.testing.assert_allclose(logits[task], queries @ (means - means.mean(axis=0)).T, atol=1e-12)


WHITENED = LEOConfig(feature_transform="whiten", within_class_shrinkage=0, prototype_residual=True)


def test_shrinks_little_where_the_scatter_of_training_classes_is_that_of_new_ones():
    start = choose_start(WHITENED, _classes(40, 30, 2.0, 0), _classes(20, 30, 2.0, 1), ways=5, shots=1)
    assert start.shrinkage <= 0.1
    assert start.losses[start.shrinkage, 0.0] == min(start.losses.values())
    assert len(start.losses) == 11


def test_shrinks_much_where_training_classes_mislead():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(600, 8)) * np.array([5.0, 5.0, *[0.05] * 6])  # scatter where new classes differ
    misleading = EmbeddingTable.from_arrays(x.astype(np.float32), np.repeat(np.arange(20), 30))
    start = choose_start(WHITENED, misleading, _classes(20, 30, 0.3, 1), ways=5, shots=1)
    assert start.shrinkage >= 30


def test_the_scale_is_the_one_of_least_loss():
    training, validation = _classes(40, 30, 0.5, 0), _classes(20, 30, 0.5, 1)
    start = choose_start(dataclasses.replace(WHITENED, within_class_shrinkage=0.3), training, validation, 5, 5)
    whitened = transform.transformed(validation, *transform.fit_transform(training, "whiten", 0.3))
    episode = EpisodeSampler(whitened, 5, 5, 15).sample(seed=3, first_task=0, num_tasks=300)
    means = tf.reduce_mean(episode.support_x, axis=2)
    means -= tf.reduce_mean(means, axis=1, keepdims=True)
    logits = tf.einsum("twqd,tvd->twqv", episode.query_x, means)

    def loss(scale):
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(episode.query_y, scale * logits)
        return float(tf.reduce_mean(losses))

    assert loss(start.scale) < min(loss(start.scale / 2), loss(start.scale * 2))


@pytest.mark.parametrize("shots", [1, 5])
def test_plda_is_chosen_with_both_of_its_shares(shots):
    """Where classes differ in two of eight dimensions, weighing directions beats whitening alone."""
    training, validation = _classes(40, 30, 0.3, 0), _classes(20, 30, 0.3, 1)
    plda = dataclasses.replace(WHITENED, feature_transform="plda", between_class_shrinkage=0, prototype_bias=1)
    start = choose_start(plda, training, validation, 5, shots)
    assert start.losses[start.shrinkage, start.between] == min(start.losses.values())
    assert len(start.losses) == 11 * 8 and start.between < 10
    assert min(start.losses.values()) < min(choose_start(WHITENED, training, validation, 5, shots).losses.values())
    one = choose_start(dataclasses.replace(plda, between_class_shrinkage=3.0), training, validation, 5, shots)
    assert set(one.losses) == {tried for tried in start.losses if tried[1] == 3.0}


@pytest.mark.parametrize(("shots", "gain"), [(1, -5e-4), (5, 1e-3)])
def test_a_model_fine_tunes_as_was_chosen(shots, gain):
    """Its logits need no other temperature on the tasks of the choice, and are better than without the steps."""
    training, validation = (EmbeddingTable.load("", "glyphs", split) for split in ("train", "val"))
    config = LEOConfig(
        feature_transform="plda", within_class_shrinkage=0.003, between_class_shrinkage=0.003, prototype_residual=True,
        prototype_scale=0, prototype_bias=0.75, support_temperature=0, decoder_init="zero",
    )  # fmt: skip
    start = choose_start(config, training, validation, 5, shots)
    model = LEO(config, training.dim, seed=0)
    model.fit_transform(training, shots, start.shrinkage, start.between)
    model.start_at(start.scale, start.temperature, start.rate, start.bias_share, shots)
    table = model.transform_table(validation)
    sampler = EpisodeSampler(table, 5, shots, 15)
    tasks = draw_from(sampler, validation.digest, 1000, 0, randomness.VALIDATION)  # as choose_start draws them
    rows = tasks.rows(sampler)

    def fit():
        gathered = table.embeddings[rows]
        labels = np.broadcast_to(np.arange(5)[:, np.newaxis], (1000, 5, shots))
        classifier = model.adapt(gathered[:, :, :shots], labels)
        logits = model.classify(gathered[:, :, shots:].reshape(1000, 75, -1), classifier)
        return fit_temperature(logits, np.broadcast_to(np.repeat(np.arange(5), 15), (1000, 75)))

    chosen = fit()
    assert chosen.temperature == pytest.approx(1, rel=0.01)
    model.start_at(start.scale, start.temperature, 0.0, 0.0, shots)
    assert chosen.loss <= fit().loss - gain


def _config(**settings):
    training = TrainingConfig(num_steps_limit=2, metavalid_tasks=4, metavalid_queries=5, jit="off")
    model = LEOConfig(1, 1, prototype_residual=True, **{"feature_transform": "whiten"} | settings)
    return RunConfig(model, DataConfig(dataset_name="glyphs"), training=training)


def test_a_run_starts_with_what_was_chosen():
    work = MetaTraining(_config(within_class_shrinkage=0.0, prototype_scale=0.0))
    training, validation = (EmbeddingTable.load("", "glyphs", split) for split in ("train", "val"))
    start = choose_start(work.config.model, training, validation, 5, 1)
    matrix = transform.fit_transform(training, "whiten", start.shrinkage)[1]
    np.testing.assert_allclose(work.learner.feature_transform.matrix.numpy(), matrix, rtol=1e-4, atol=1e-3)
    assert np.exp(work.learner.prototype_log_scale.numpy()) == pytest.approx(start.scale, rel=1e-5)


def test_a_run_with_plda_starts_with_what_was_chosen():
    config = _config(
        feature_transform="plda", within_class_shrinkage=0.1, between_class_shrinkage=0.0, prototype_bias=1
    )
    work = MetaTraining(config)
    training, validation = (EmbeddingTable.load("", "glyphs", split) for split in ("train", "val"))
    start = choose_start(config.model, training, validation, 5, 1)
    matrix = transform.fit_transform(training, "plda", 0.1, start.between, 1)[1]
    np.testing.assert_allclose(work.learner.feature_transform.matrix.numpy(), matrix, rtol=1e-4, atol=1e-3)
    assert np.exp(work.learner.prototype_log_scale.numpy()) == pytest.approx(10.0)  # the default, not left to be chosen


def test_a_run_whose_start_was_chosen_is_validated_beside_logistic_regression():
    chosen, given = (MetaTraining(_config(within_class_shrinkage=shrinkage)) for shrinkage in (0.0, 0.3))
    means = ["nearest class mean", "nearest class mean, whitened"]
    assert list(chosen.validate().baselines) == [*means, "logistic regression, whitened"]
    assert list(given.validate().baselines) == means


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(("shots", "easy"), [(1, False), (5, True)])
def test_dimensions_of_queries_are_dropped_where_class_means_are_nearly_always_right(shots, easy, temperature, caplog):
    config = dataclasses.replace(
        _config(
            feature_transform="plda", within_class_shrinkage=0.01, between_class_shrinkage=0.01, prototype_scale=0.0,
            query_dropout="easy", support_temperature=temperature,
        ),
        episodes=EpisodeConfig(num_tr_examples_per_class=shots),
    )  # fmt: skip
    with caplog.at_level("INFO", "leo_tf"):
        learner = MetaTraining(config).learner
    assert learner.drops_queries.numpy() == easy
    assert f"query_dropout={'all' if easy else 'none'} (class means: 9" in caplog.text
    training, validation = (EmbeddingTable.load("", "glyphs", split) for split in ("train", "val"))
    start = choose_start(config.model, training, validation, 5, shots)
    assert start.is_easy == easy and (0.97 < start.accuracy < 0.995 if easy else 0.9 < start.accuracy < 0.97)

    sampler = EpisodeSampler(learner.transform_table(training), 5, shots, 5)
    episode = sampler.sample(seed=0, first_task=0, num_tasks=4)
    always = LEO(dataclasses.replace(config.model, query_dropout="all" if easy else "none"), training.dim, seed=0)
    always.fit_transform(training, shots, 0.01, 0.01)
    for variable, value in zip(always.meta_variables, learner.meta_variables, strict=True):
        variable.assign(value)
    losses = [each.meta_loss(episode, True, seed=0).query_loss for each in (learner, copy.deepcopy(learner), always)]
    np.testing.assert_allclose(losses[0], losses[2], rtol=1e-5)
    np.testing.assert_allclose(losses[1], losses[2], rtol=1e-5)


def test_only_what_is_left_to_be_chosen_is():
    work = MetaTraining(_config(within_class_shrinkage=0.0, prototype_scale=7.0))
    assert np.exp(work.learner.prototype_log_scale.numpy()) == pytest.approx(7.0, rel=1e-5)


def test_without_validation_tasks_numbers_are_asked_for():
    config = _config(within_class_shrinkage=0.0).with_settings({"metavalid_tasks": 0})
    with pytest.raises(InputError, match=r"shrinkage=0: .*metavalid_tasks=0 was given.*shrinkage=0\.3"):
        MetaTraining(config)


def test_refuses_a_scale_to_choose_without_whitening():
    with pytest.raises(InputError, match=r"prototype_scale=0\.0 was given; expected .*whiten"):
        LEOConfig(prototype_residual=True, prototype_scale=0)
    with pytest.raises(InputError, match="query_dropout='easy' was given; expected all or none, unless proto"):
        LEOConfig(prototype_residual=True, query_dropout="easy")
    with pytest.raises(InputError, match="decoder_init='zero' was given; expected glorot without"):
        LEOConfig(decoder_init="zero")
    with pytest.raises(InputError, match=r"prototype_bias=1\.0 was given; expected 0 without prototype_residual and"):
        LEOConfig(prototype_residual=True, prototype_bias=1)


def test_refuses_a_temperature_to_choose_without_what_is_chosen_with_it():
    with pytest.raises(InputError, match=r"support_temperature=0\.0 was given; expected .* prototype_scale is 0"):
        LEOConfig(support_temperature=0)
    with pytest.raises(InputError, match=r"finetuning_lr_init=3\.0 was given; expected 0\.001, its default, with supp"):
        LEOConfig(
            support_temperature=0, prototype_residual=True, prototype_scale=0, feature_transform="plda",
            finetuning_lr_init=3,
        )  # fmt: skip


def test_a_decoder_of_zeros_starts_as_the_scaled_prototypes():
    config = LEOConfig(5, 0, prototype_residual=True, decoder_init="zero", inner_lr_init=0.0)
    model = LEO(config, embedding_dim=6, seed=0)
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype(np.float32)
    classifier = model.adapt(x, np.tile(np.arange(3)[:, np.newaxis], (2, 1, 4)))
    means = x.mean(axis=2)
    np.testing.assert_allclose(classifier, 10 * (means - means.mean(axis=1, keepdims=True)), rtol=1e-5, atol=1e-5)


def test_a_start_that_training_does_not_improve_on_is_the_best(tmp_path):
    training = TrainingConfig(
        num_steps_limit=4, checkpoint_steps=2, metavalid_tasks=50, metavalid_queries=5, metavalid_at_start=True, jit="off",
        outer_lr=0.3,
    )  # fmt: skip
    model = LEOConfig(1, 1, prototype_residual=True, decoder_init="zero", stochastic=False)
    config = RunConfig(model, DataConfig(dataset_name="glyphs"), training=training)
    trainer = Trainer(MetaTraining(config), tmp_path / "run")
    assert trainer.run() == 4
    accuracy, step = trainer.checkpoints.best
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    validated = {int(row["step"]): float(row["validation_accuracy"]) for row in rows if row["validation_accuracy"]}
    assert list(validated) == [0, 2, 4]
    assert step == 0 and accuracy == pytest.approx(validated[0]) and accuracy > max(validated[2], validated[4])
    longer = dataclasses.replace(config, training=dataclasses.replace(training, num_steps_limit=6))
    again = Trainer(MetaTraining(longer), tmp_path / "run")
    assert again.run() == 2 and again.checkpoints.best == (accuracy, 0)
