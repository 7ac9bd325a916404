"""Settings of ProtoLEO that are chosen on validation tasks."""

import copy
import csv
import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import (
    EmbeddingTable,
    EpisodeSampler,
    LEOConfig,
    MetaTraining,
    ProtoLEO,
    ProtoLEOConfig,
    RunConfig,
    Trainer,
    randomness,
)
from leo_tf.classification.prototype_init import InitializationData, choose, prototype_logits, score_candidates
from leo_tf.classification.tasks import draw_from
from leo_tf.config import DataConfig, EpisodeConfig, TrainingConfig
from leo_tf.errors import InputError
from leo_tf.evaluation.calibration import fit_temperature
from leo_tf.problem import Initialization
from leo_tf.transforms import fit_transform

WHITEN = ProtoLEOConfig(feature_transform="whiten", prototype_bias=0, support_temperature=1, query_dropout="all")


def _classes(count, size, noise, seed):
    """Classes that differ in the first two of eight dimensions, and scatter most in the others."""
    rng = np.random.default_rng(seed)
    centres = np.concatenate([rng.normal(size=(count, 2)), np.zeros((count, 6))], axis=1)
    spread = np.array([0.3, 0.3, *[noise] * 6])
    x = np.repeat(centres, size, axis=0) + spread * rng.normal(size=(count * size, 8))
    return EmbeddingTable.from_arrays(x.astype(np.float32), np.repeat(np.arange(count), size))


def _data(training, validation, shots=1):
    return InitializationData(training, validation, 5, shots, "all")


@pytest.fixture(scope="module")
def glyphs():
    return [EmbeddingTable.load("", "glyphs", split) for split in ("train", "val")]


def test_logits_are_of_class_means_less_their_mean():
    rng = np.random.default_rng(0)
    embeddings, rows = rng.normal(size=(30, 4)), rng.permutation(30).reshape(2, 3, 5)
    logits = prototype_logits(embeddings, rows, shots=2)
    for task in range(2):
        means = embeddings[rows[task, :, :2]].mean(axis=1)
        queries = embeddings[rows[task, :, 2:].ravel()]
        np.testing.assert_allclose(logits[task], queries @ (means - means.mean(axis=0)).T, atol=1e-12)


def test_little_shrinkage_where_new_classes_scatter_like_training_classes():
    data = _data(_classes(40, 30, 2.0, 0), _classes(20, 30, 2.0, 1))
    chosen, _ = choose(WHITEN, data, 5)
    scored = score_candidates(WHITEN, data)
    assert len(scored) == 11 and chosen["within_class_shrinkage"] <= 0.1
    best = scored[chosen["within_class_shrinkage"], 0.0]
    assert best.loss == min(each.loss for each in scored.values()) and best.scale == chosen["prototype_scale"]


def test_much_shrinkage_where_training_classes_mislead():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(600, 8)) * np.array([5.0, 5.0, *[0.05] * 6])  # scatter where new classes differ
    misleading = EmbeddingTable.from_arrays(x.astype(np.float32), np.repeat(np.arange(20), 30))
    chosen, _ = choose(WHITEN, _data(misleading, _classes(20, 30, 0.3, 1)), 5)
    assert chosen["within_class_shrinkage"] >= 30


def test_the_scale_minimises_the_loss():
    training, validation = _classes(40, 30, 0.5, 0), _classes(20, 30, 0.5, 1)
    chosen, _ = choose(dataclasses.replace(WHITEN, within_class_shrinkage=0.3), _data(training, validation, 5), 5)
    assert chosen.keys() == {"prototype_scale"}
    fitted = fit_transform("whiten", training.embeddings, training.class_sizes, 0.3)
    whitened = dataclasses.replace(validation, embeddings=fitted.apply(validation.embeddings))
    episode = EpisodeSampler(whitened, 5, 5, 15).sample(seed=3, first_task=0, num_tasks=300)
    means = tf.reduce_mean(episode.support_x, axis=2)
    means -= tf.reduce_mean(means, axis=1, keepdims=True)
    logits = tf.einsum("twqd,tvd->twqv", episode.query_x, means)

    def loss(scale):
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(episode.query_y, scale * logits)
        return float(tf.reduce_mean(losses))

    scale = chosen["prototype_scale"]
    assert loss(scale) < min(loss(scale / 2), loss(scale * 2))


@pytest.mark.parametrize("shots", [1, 5])
def test_plda_is_chosen_with_both_shrinkages(shots):
    """Where classes differ in two of eight dimensions, weighting directions beats whitening alone."""
    data = _data(_classes(40, 30, 0.3, 0), _classes(20, 30, 0.3, 1), shots)
    plda = dataclasses.replace(WHITEN, feature_transform="plda", prototype_bias=1)
    scored, chosen = score_candidates(plda, data), choose(plda, data, 5)[0]
    losses = {tried: each.loss for tried, each in scored.items()}
    assert losses[chosen["within_class_shrinkage"], chosen["between_class_shrinkage"]] == min(losses.values())
    assert len(scored) == 11 * 8 and chosen["between_class_shrinkage"] < 10
    assert min(losses.values()) < min(each.loss for each in score_candidates(WHITEN, data).values())
    one = score_candidates(dataclasses.replace(plda, between_class_shrinkage=3.0), data)
    assert set(one) == {tried for tried in scored if tried[1] == 3.0}


@pytest.mark.parametrize("kind", ["none", "center"])
def test_without_whitening_only_the_scale_is_chosen(kind):
    proto = dataclasses.replace(WHITEN, feature_transform=kind)
    chosen, _ = choose(proto, _data(_classes(10, 30, 0.5, 0), _classes(10, 30, 0.5, 1)), 5)
    assert chosen.keys() == {"prototype_scale"} and chosen["prototype_scale"] > 0


@pytest.mark.parametrize(("shots", "gain"), [(1, -5e-4), (5, 1e-3)])
def test_a_model_fine_tunes_as_was_chosen(glyphs, shots, gain):
    """Its logits need no other temperature on the tasks of the choice, and are better than without the steps."""
    validation = glyphs[1]
    proto = ProtoLEOConfig(within_class_shrinkage=0.003, between_class_shrinkage=0.003, warmup_steps=0)
    model = ProtoLEO(LEOConfig(), proto, validation.dim, seed=0)
    found = model.initialize(_data(*glyphs, shots))
    table = model.feature_table(validation)
    sampler = EpisodeSampler(table, 5, shots, 15)
    tasks = draw_from(sampler, validation.digest, 1000, 0, randomness.VALIDATION)  # as choose draws them
    rows = tasks.rows(sampler)

    def fit():
        gathered = table.embeddings[rows]
        labels = np.broadcast_to(np.arange(5)[:, np.newaxis], (1000, 5, shots))
        classifier = model.adapt_in_evaluation(gathered[:, :, :shots], labels)
        logits = model.logits(gathered[:, :, shots:].reshape(1000, 75, -1), classifier)
        return fit_temperature(logits, np.broadcast_to(np.repeat(np.arange(5), 15), (1000, 75)))

    temperature, loss = fit()
    assert temperature == pytest.approx(1, rel=0.01)
    without = {"finetuning_lr_init": 0.0, "bias_finetuning_lr_init": 0.0}
    model.initialize(_data(*glyphs, shots), Initialization({**found.chosen, **without}))
    assert loss <= fit()[1] - gain


def _config(shots=1, **settings):
    training = TrainingConfig(num_steps_limit=2, metavalid_tasks=4, metavalid_queries=5, jit="off")
    proto = dataclasses.replace(
        WHITEN, **{"within_class_shrinkage": 0.3, "prototype_scale": 10, "warmup_steps": 0} | settings
    )
    return RunConfig(
        LEOConfig(1, 1), DataConfig(dataset_name="glyphs"), EpisodeConfig(num_tr_examples_per_class=shots), training,
        proto_leo=proto, algorithm="proto_leo",
    )  # fmt: skip


def test_a_run_starts_with_what_was_chosen_and_records_it(glyphs, tmp_path):
    config = _config(within_class_shrinkage="auto", prototype_scale="auto")
    trainer = Trainer(MetaTraining(config), tmp_path / "run")
    trainer.run()
    chosen, measured = choose(config.proto_leo, _data(*glyphs), 1)
    record = json.loads((tmp_path / "run" / "initialization.json").read_text())
    assert record == {"chosen": chosen, "measured": measured}
    learner = trainer.work.learner
    matrix = fit_transform(
        "whiten", glyphs[0].embeddings, glyphs[0].class_sizes, chosen["within_class_shrinkage"]
    ).matrix
    np.testing.assert_allclose(learner.feature_transform.matrix.numpy(), matrix, rtol=1e-4, atol=1e-3)
    work = MetaTraining(config)
    assert work.initialize() == Initialization(chosen, measured)
    assert np.exp(work.learner.prototype_log_scale.numpy()) == pytest.approx(chosen["prototype_scale"], rel=1e-5)


def test_a_resumed_run_never_chooses_again(tmp_path, monkeypatch):
    config = _config(within_class_shrinkage="auto", prototype_scale="auto")
    Trainer(MetaTraining(config), tmp_path / "run").run()
    record = (tmp_path / "run" / "initialization.json").read_text()
    monkeypatch.setattr("leo_tf.classification.proto_leo.choose", lambda *_: pytest.fail("chooses again"))
    longer = config.with_settings({"num_steps_limit": 3})
    assert Trainer(MetaTraining(longer), tmp_path / "run").run() == 1
    assert (tmp_path / "run" / "initialization.json").read_text() == record


@pytest.mark.long
@pytest.mark.parametrize("content", [None, "{", "[1]"])
def test_a_lost_or_corrupt_record_is_chosen_again(tmp_path, content):
    config = _config(within_class_shrinkage="auto", prototype_scale="auto")
    Trainer(MetaTraining(config), tmp_path / "run").run()
    file = tmp_path / "run" / "initialization.json"
    record = file.read_text()
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    assert Trainer(MetaTraining(config.with_settings({"num_steps_limit": 3})), tmp_path / "run").run() == 1
    assert file.read_text() == record


def test_given_numbers_are_kept(glyphs):
    config = _config(
        feature_transform="plda", within_class_shrinkage=0.1, between_class_shrinkage="auto", prototype_bias=1
    )
    work = MetaTraining(config)
    chosen = work.initialize().chosen
    assert chosen.keys() == {"between_class_shrinkage"}
    embeddings, sizes = glyphs[0].embeddings, glyphs[0].class_sizes
    matrix = fit_transform("plda", embeddings, sizes, 0.1, chosen["between_class_shrinkage"], 1).matrix
    np.testing.assert_allclose(work.learner.feature_transform.matrix.numpy(), matrix, rtol=1e-4, atol=1e-3)
    assert np.exp(work.learner.prototype_log_scale.numpy()) == pytest.approx(10.0)


def test_validation_shows_baselines_in_the_models_space():
    work = MetaTraining(_config())
    work.initialize()
    names = ["nearest class mean", "nearest class mean, whitened", "logistic regression, whitened"]
    assert list(work.validate().baselines) == names


@pytest.mark.long
@pytest.mark.parametrize("temperature", ["auto", 1.0])
@pytest.mark.parametrize(("shots", "dropped"), [(1, False), (5, True)])
def test_queries_are_dropped_out_only_where_prototypes_make_few_errors(glyphs, shots, dropped, temperature):
    config = _config(
        shots, feature_transform="plda", within_class_shrinkage=0.01, between_class_shrinkage=0.01,
        prototype_scale="auto", query_dropout="auto", support_temperature=temperature,
    )  # fmt: skip
    work = MetaTraining(config)
    found, learner = work.initialize(), work.learner
    assert learner.drops_queries.numpy() == dropped
    assert found.chosen["query_dropout"] == ("all" if dropped else "none")
    low, high = (0.97, 0.995) if dropped else (0.9, 0.97)
    assert low < found.measured["prototype_accuracy"] < high

    sampler = EpisodeSampler(glyphs[0], 5, shots, 5)
    episode = sampler.sample(seed=0, first_task=0, num_tasks=4)
    fixed = dataclasses.replace(config.proto_leo, query_dropout=found.chosen["query_dropout"])
    always = ProtoLEO(config.model, fixed, glyphs[0].dim, seed=0)
    always.initialize(_data(*glyphs, shots), found)
    for variable, value in zip(always.meta_variables, learner.meta_variables, strict=True):
        variable.assign(value)
    losses = [each.meta_loss(episode, True, seed=0).query_loss for each in (learner, copy.deepcopy(learner), always)]
    np.testing.assert_allclose(losses[0], losses[2], rtol=1e-5)
    np.testing.assert_allclose(losses[1], losses[2], rtol=1e-5)


def test_without_validation_tasks_numbers_are_asked_for():
    config = _config(within_class_shrinkage="auto").with_settings({"metavalid_tasks": 0})
    with pytest.raises(InputError, match=r"within_class_shrinkage is auto.*metavalid_tasks=0 was given") as error:
        MetaTraining(config).initialize()
    assert error.value.settings == ("within_class_shrinkage",)


def test_an_initial_state_that_training_does_not_improve_on_stays_the_best(tmp_path):
    training = TrainingConfig(
        num_steps_limit=4, checkpoint_steps=2, metavalid_tasks=50, metavalid_queries=5, metavalid_at_start=True,
        jit="off", outer_lr=0.3,
    )  # fmt: skip
    proto = ProtoLEOConfig(
        "none", prototype_scale=10, prototype_bias=0, support_temperature=1, warmup_steps=0, query_dropout="all"
    )
    config = RunConfig(
        LEOConfig(1, 1, stochastic=False), DataConfig(dataset_name="glyphs"), training=training, proto_leo=proto,
        algorithm="proto_leo",
    )  # fmt: skip
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
