"""MAML and Meta-SGD: one step by hand, several against NumPy, finite differences, a run from start to evaluation."""

import dataclasses

import keras
import numpy as np
import oracle
import pytest
import tensorflow as tf

import leo_tf
from leo_tf import EpisodeSampler, InputError, LEOConfig, MAMLConfig
from leo_tf.analysis.adaptation import measure_adaptation
from leo_tf.classification.analysis_target import ClassificationTarget
from leo_tf.classification.maml import MAML, MetaSGD
from leo_tf.classification.tasks import draw_tasks
from leo_tf.config import DataConfig, EpisodeConfig, RunConfig, TrainingConfig
from leo_tf.training import MetaSteps, MetaTraining

CONFIG = MAMLConfig(maml_steps=2, maml_lr=0.7, dropout_rate=0.25, l2_penalty_weight=0.05)
WAYS, DIM = 3, 8


def make_model(kind, **changes):
    rng = np.random.default_rng(2)
    model = kind(dataclasses.replace(CONFIG, **changes), DIM, WAYS, dtype="float64")
    model.initial_parameters.assign(rng.normal(size=(WAYS, DIM)))
    for rate in model.learning_rates:
        rate.assign(rng.uniform(0.2, 1.5, (WAYS, DIM)))
    return model


def adapted(model, support, labels, masks):
    """NumPy: the classifier of one task; masks [1 + steps, ways, shots, dim], of which the first is not used."""
    theta = model.initial_parameters.numpy()
    rate = model.learning_rates[0].numpy() if model.learning_rates else 0.7
    for step in range(2):
        inputs = support if masks is None else oracle.drop(support, masks[1 + step], 0.75)
        error = oracle.softmax(inputs @ theta.T) - np.eye(WAYS)[labels]
        theta = theta - rate / support.shape[1] * np.einsum("ijl,ijd->ld", error, inputs)
    return theta


def test_one_step_by_hand():
    """Two classes, x = (1, 0) and (0, 1), from zero: the softmax is (1/2, 1/2), so that a row moves by rate / 2."""
    support_x = tf.constant([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    support_y = tf.constant([[[0], [1]]])
    config = dataclasses.replace(CONFIG, maml_steps=1)
    expected = [[[0.35, -0.35], [-0.35, 0.35]]]
    np.testing.assert_allclose(MAML(config, 2, 2).adapt(support_x, support_y), expected, rtol=1e-6)
    model = MetaSGD(config, 2, 2)
    np.testing.assert_allclose(model.adapt(support_x, support_y), expected, rtol=1e-6)
    model.learning_rate.assign([[1.0, 2.0], [0.0, -4.0]])
    np.testing.assert_allclose(model.adapt(support_x, support_y), [[[0.5, -1.0], [0.0, -2.0]]], rtol=1e-6)


@pytest.mark.parametrize("kind", [MAML, MetaSGD])
@pytest.mark.parametrize("shots", [1, 3])
def test_against_numpy(make_episode, kind, shots):
    """Classifier and every term of the loss, with dropout and without; no KL, no encoder penalty."""
    model, episode = make_model(kind), make_episode(shots=shots)
    bits = model.draw_bits(episode, seed=4)
    noise = model.noise_from_bits(episode, bits)
    assert noise.latents is None and noise.support_masks.shape == (2, 3, WAYS, shots, DIM)
    support, labels, query, query_labels = (np.asarray(part) for part in episode)
    regularization = 0.05 * oracle.half_l2([model.initial_parameters.numpy()])
    for training in (True, False):
        outcome = model.meta_loss(episode, training, noise=noise if training else None)
        for task in range(2):
            masks = noise.support_masks[task].numpy() if training else None
            theta = adapted(model, support[task], labels[task], masks)
            rows = oracle.drop(query[task], noise.query_mask[task].numpy(), 0.75) if training else query[task]
            loss = oracle.cross_entropy(rows @ theta.T, query_labels[task]).mean()
            np.testing.assert_allclose(outcome.query_loss[task], loss, rtol=1e-9)
            if not training:
                np.testing.assert_allclose(model.adapt(*episode[:2])[task], theta, rtol=1e-9)
        np.testing.assert_array_equal([outcome.kl, outcome.encoder_penalty], np.zeros((2, 2)))
        np.testing.assert_allclose(outcome.loss, np.mean(outcome.query_loss) + regularization, rtol=1e-9)


@pytest.mark.parametrize("kind", [MAML, MetaSGD])
def test_meta_gradient(make_episode, kind):
    """Central differences through both inner steps; to first order it is another gradient of the same loss."""
    episode, model = make_episode(), make_model(kind)
    evaluate = tf.function(lambda m: m.meta_loss(episode, True, seed=1).loss)

    def gradients(of):
        with tf.GradientTape() as tape:
            loss = of.meta_loss(episode, True, seed=1).loss
        return loss, [np.asarray(g) for g in tape.gradient(loss, [v.value for v in of.meta_variables])]

    loss, exact = gradients(model)
    first_loss, first = gradients(make_model(kind, first_order=True))
    assert float(first_loss) == float(loss)
    rng = np.random.default_rng(7)
    for variable, gradient, approximate in zip(model.meta_variables, exact, first, strict=True):
        for _ in range(3):
            direction, value = rng.normal(size=variable.shape), variable.numpy()
            ends = []
            for sign in (1, -1):
                variable.assign(value + sign * 1e-6 * direction)
                ends.append(float(evaluate(model)))
            variable.assign(value)
            np.testing.assert_allclose((ends[0] - ends[1]) / 2e-6, np.sum(gradient * direction), rtol=1e-6, atol=1e-8)
        assert np.linalg.norm(gradient - approximate) > 1e-2 * np.linalg.norm(gradient)


@pytest.mark.parametrize("kind,variables", [(MAML, 1), (MetaSGD, 2)])
def test_variables(kind, variables):
    model = kind(MAMLConfig(maml_lr=0.3), 16, ways=4)
    assert [tuple(v.shape) for v in model.meta_variables] == [(4, 16)] * variables
    assert len(model.trainable_variables) == variables and len(model.regularized_weights) == 1
    np.testing.assert_array_equal(model.initial_parameters, np.zeros((4, 16)))
    for rate in model.learning_rates:
        np.testing.assert_array_equal(rate, np.full((4, 16), np.float32(0.3)))


@pytest.mark.parametrize("kind", [MAML, MetaSGD])
def test_other_ways_are_refused(make_episode, table, kind):
    model, episode = kind(MAMLConfig(), DIM, ways=5), make_episode(ways=3, dtype="float32")
    message = rf"{kind.algorithm}'s weights are those of 5 classes; got tasks of 3\. Give 5-way tasks \(num_classes=5\)"
    for call in (
        lambda: model.adapt(*episode[:2]),
        lambda: model.meta_loss(episode, True, seed=0),
        lambda: leo_tf.evaluate(model, table, ways=3, num_tasks=2),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_saved_and_loaded(make_episode, tmp_path):
    model, episode = MetaSGD(CONFIG, DIM, WAYS), make_episode(dtype="float32")
    model.initialize_weights(3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.fixed_ways == WAYS and loaded.config == model.config
    np.testing.assert_array_equal(loaded(episode), model(episode))


@pytest.mark.parametrize("kind", [MAML, pytest.param(MetaSGD, marks=pytest.mark.long)])
def test_the_training_step_learns(table, kind):
    """From random weights, which know nothing of the task, to below chance loss on new tasks."""
    sampler = EpisodeSampler(table, WAYS, 1, 4)
    model = kind(MAMLConfig(maml_steps=2, maml_lr=0.001, dropout_rate=0.0), DIM, WAYS)
    model.initialize_weights(1)
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(model.meta_variables)
    config = TrainingConfig(jit="off", outer_lr=0.02)
    step = MetaSteps(model, optimizer, [sampler], tf.distribute.get_strategy(), config)
    episode = sampler.sample(99, 0, 100)
    before = model.meta_loss(episode, False)
    step.run(tf.constant(150))
    after = model.meta_loss(episode, False)
    assert float(after.loss) < float(before.loss) - 0.02
    assert np.mean(after.accuracy) > np.mean(before.accuracy) + 0.02


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path, generator = tmp_path_factory.mktemp("data"), np.random.default_rng(3)
    (path / "own").mkdir()
    for split in ("train", "val"):
        rows = generator.normal(size=(6, 1, 12)) + 0.7 * generator.normal(size=(6, 10, 12))
        labels = np.repeat([f"{split}{c}" for c in range(6)], 10)
        np.savez(path / "own" / f"{split}.npz", embeddings=rows.reshape(-1, 12).astype(np.float32), labels=labels)
    return path


def trainer(data, path, algorithm, steps):
    config = RunConfig(
        LEOConfig(dropout_rate=0.2) if algorithm == "leo" else MAMLConfig(2, 0.5, dropout_rate=0.2),
        DataConfig(data_path=str(data), dataset_name="own", cache_dir=str(data / "cache")),
        EpisodeConfig(num_classes=WAYS, num_tr_examples_per_class=2, num_val_examples_per_class=3),
        TrainingConfig(
            metatrain_batch_size=4,
            metavalid_tasks=20,
            checkpoint_steps=4,
            log_steps=2,
            jit="off",
            outer_lr=0.01,
            num_steps_limit=steps,
        ),
        algorithm=algorithm,
    )
    return leo_tf.Trainer(MetaTraining(config), path)


@pytest.mark.parametrize("algorithm", ["maml", pytest.param("metasgd", marks=pytest.mark.long)])
def test_a_run_resumes_loads_and_evaluates(data, tmp_path, algorithm):
    whole = tmp_path / "whole"
    run = trainer(data, whole, algorithm, 8)
    run.run()
    for variable, start in zip(run.work.learner.meta_variables, [0.0, 0.5], strict=False):
        assert np.abs(variable.numpy() - start).max() > 1e-3
    if algorithm == "metasgd":
        for steps in (4, 8):
            resumed = trainer(data, tmp_path / "parts", algorithm, steps)
            resumed.run()
        for ours, expected in zip(resumed.work.learner.meta_variables, run.work.learner.meta_variables, strict=True):
            np.testing.assert_array_equal(ours, expected)
    model = leo_tf.load(whole)
    assert type(model) is {"maml": MAML, "metasgd": MetaSGD}[algorithm]
    assert model.config.maml_steps == 2 and model.config.maml_lr == 0.5
    table = leo_tf.EmbeddingTable.load(data, "own", "val", cache_dir=data / "cache")
    result = leo_tf.evaluate(model, table, WAYS, 2, num_tasks=50)
    assert result.accuracy.mean > 0.5
    assert str(result).startswith(f"{model.algorithm} ")
    tasks = draw_tasks(table, WAYS, 2, num_tasks=50)
    found = measure_adaptation(ClassificationTarget(model, table, tasks))
    assert found.steps == [(0, 0), (0, 1), (0, 2)]
    assert found.scores["accuracy"][-1].mean() == pytest.approx(result.accuracy.mean)
    with pytest.raises(InputError, match=r"algorithm: .* != 'leo'"):
        trainer(data, whole, "leo", 8).run()
