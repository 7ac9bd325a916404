"""LEO as any Keras model: compile, fit, evaluate, callbacks, save and load; and tasks of other shapes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, EmbeddingTable, Episode, EpisodeSampler, InputError, LEOConfig
from leo_tf.classification.evaluator import adapted_by
from leo_tf.classification.tasks import draw_tasks
from leo_tf.training.strategy import make_strategy

CONFIG = LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4, dropout_rate=0.2, kl_weight=0.01)
STEPS, EPOCHS = 10, 4


@pytest.fixture(scope="module")
def dataset(table):
    """Meta-batches of 5-way 1-shot tasks, the same ten every epoch."""
    sampler = EpisodeSampler(table, 5, 1, 4)
    return tf.data.Dataset.range(STEPS).map(lambda i: sampler.sample(0, i * 8, 8))


class Recorder(keras.callbacks.Callback):
    """A user's own callback."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])


def compiled(**kwargs):
    model = LEO(CONFIG, 8, seed=0)
    model.compile(optimizer=keras.optimizers.Adam(0.02), **kwargs)
    return model


@pytest.fixture(scope="module")
def fitted(dataset, tmp_path_factory):
    """(model, History, Recorder, path of the best weights) after a fit."""
    model, recorder, path = compiled(), Recorder(), tmp_path_factory.mktemp("fit") / "best.weights.h5"
    keep_best = keras.callbacks.ModelCheckpoint(path, monitor="val_loss", save_best_only=True, save_weights_only=True)
    history = model.fit(
        dataset, epochs=EPOCHS, validation_data=dataset.take(3), callbacks=[recorder, keep_best], verbose=0
    )
    return model, history, recorder, path


def test_fit_learns(fitted, dataset):
    model, history, recorder, _ = fitted
    assert len(history.history["loss"]) == EPOCHS
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= history.history.keys()
    assert len(recorder.losses) == STEPS * EPOCHS
    before, after = (m.evaluate(dataset, return_dict=True, verbose=0) for m in (compiled(), model))
    assert after["loss"] < before["loss"] - 0.1
    assert after["accuracy"] > before["accuracy"] + 0.05
    assert history.history["loss"][-1] < history.history["loss"][0] - 0.1
    assert int(model.optimizer.iterations.numpy()) == STEPS * EPOCHS


def test_evaluate_is_the_mean_of_meta_losses(fitted, dataset):
    model = fitted[0]
    outcomes = [model.meta_loss(Episode(*batch), training=False) for batch in dataset.take(3)]
    result = model.evaluate(dataset.take(3), return_dict=True, verbose=0)
    assert result["loss"] == pytest.approx(np.mean([o.loss for o in outcomes]), rel=1e-5)
    assert result["accuracy"] == pytest.approx(np.mean([o.accuracy for o in outcomes]), rel=1e-5)


def test_fits_first_batch_is_the_meta_loss_of_its_seed(fitted, dataset):
    episode = Episode(*next(iter(dataset)))
    loss = LEO(CONFIG, 8, seed=0).meta_loss(episode, True, seed=0).loss
    assert fitted[2].losses[0] == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.long
def test_the_fit_repeats_by_seed(fitted, dataset):
    recorder = Recorder()
    compiled(seed=0).fit(dataset.take(3), callbacks=[recorder], verbose=0)
    assert recorder.losses == fitted[2].losses[:3]


def test_model_checkpoint_kept_the_best(fitted, dataset):
    _, history, _, path = fitted
    restored = compiled()
    restored.load_weights(path)
    best = restored.evaluate(dataset.take(3), return_dict=True, verbose=0)["loss"]
    assert best == pytest.approx(min(history.history["val_loss"]), rel=1e-5)


@pytest.mark.long
def test_early_stopping_and_another_seed(fitted, dataset):
    patience, recorder = keras.callbacks.EarlyStopping(monitor="loss", patience=1, min_delta=1e9), Recorder()
    history = compiled(seed=1).fit(dataset.take(2), epochs=6, callbacks=[patience, recorder], verbose=0)
    assert len(history.history["loss"]) == 2
    assert abs(recorder.losses[0] - fitted[2].losses[0]) > 1e-5


def test_save_and_load(fitted, dataset, tmp_path):
    model = fitted[0]
    model.save(tmp_path / "leo.keras")
    loaded = keras.saving.load_model(tmp_path / "leo.keras")
    assert loaded.config == CONFIG
    episode = Episode(*next(iter(dataset)))
    np.testing.assert_array_equal(loaded(episode), model(episode))
    for ours, theirs in zip(loaded.meta_variables, model.meta_variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_saves_without_having_been_compiled(make_episode, tmp_path):
    model = LEO(CONFIG, 8, seed=0)
    model.save(tmp_path / "leo.keras")
    loaded = keras.saving.load_model(tmp_path / "leo.keras")
    assert not loaded.compiled
    np.testing.assert_array_equal(loaded(make_episode(dtype="float32")), model(make_episode(dtype="float32")))


@pytest.mark.parametrize("ways,shots", [(20, 3), (2, 1), (5, 5)])
def test_other_ways_and_shots(fitted, make_episode, ways, shots):
    """What was trained 5-way 1-shot beats chance by far on other shapes, as the classifier it gives really does."""
    episode = make_episode(tasks=6, ways=ways, shots=shots, queries=5, dtype="float32", seed=3)
    classifier = fitted[0].adapt(episode.support_x, episode.support_y).numpy()
    assert classifier.shape == (6, ways, 8)
    logits = np.einsum("twqd,tvd->twqv", episode.query_x, classifier)
    np.testing.assert_allclose(fitted[0](episode), logits.reshape(6, ways * 5, ways), rtol=1e-4, atol=1e-5)
    accuracy = np.mean(logits.argmax(axis=-1) == episode.query_y)
    assert accuracy > 0.5 + 0.5 / ways - 0.25
    outcome = fitted[0].meta_loss(episode, training=False)
    assert np.mean(outcome.accuracy) == pytest.approx(accuracy, rel=1e-5)


@pytest.mark.long
def test_float64_and_float32_agree(fitted, make_episode):
    narrow, wide = fitted[0], LEO(CONFIG, 8, dtype="float64")
    for ours, theirs in zip(wide.meta_variables, narrow.meta_variables, strict=True):
        assert ours.dtype == "float64"
        ours.assign(theirs.numpy())
    episodes = [make_episode(dtype=dtype) for dtype in ("float32", "float64")]
    np.testing.assert_allclose(narrow(episodes[0]), wide(episodes[1]), rtol=1e-4, atol=1e-5)
    outcomes = [m.meta_loss(e, True, seed=2) for m, e in zip((narrow, wide), episodes, strict=True)]
    assert outcomes[1].loss.dtype == tf.float64
    assert float(outcomes[0].loss) == pytest.approx(float(outcomes[1].loss), rel=1e-4)


def test_meta_loss_noise_is_a_function_of_the_task(make_episode):
    """Each task's noise depends on its own index: two halves alone equal the whole batch."""
    model, episode = LEO(CONFIG, 8, seed=0, dtype="float64"), make_episode(tasks=4)
    whole = model.meta_loss(episode, True, seed=5, first_task=10)
    halves = [
        model.meta_loss(Episode(*(part[first : first + 2] for part in episode)), True, seed=5, first_task=10 + first)
        for first in (0, 2)
    ]
    for name in ("query_loss", "kl", "encoder_penalty"):
        np.testing.assert_allclose(
            getattr(whole, name), np.concatenate([getattr(half, name) for half in halves]), rtol=1e-9
        )
    assert abs(float(whole.loss) - float(model.meta_loss(episode, True, seed=5, first_task=11).loss)) > 1e-6


def test_bad_calls(make_episode):
    model, episode = LEO(CONFIG, 8, seed=0), make_episode(dtype="float32")
    with pytest.raises(InputError, match="got neither seed nor noise; give one of them"):
        model.meta_loss(episode, training=True)
    with pytest.raises(InputError, match=r"support_x has shape \(2, 3, 2, 5\); expected \[tasks, ways, shots, 8\]"):
        model.adapt(episode.support_x[..., :5], episode.support_y)
    with pytest.raises(InputError, match=r"support_x has shape \(3, 2, 8\)"):
        model.adapt(episode.support_x[0], episode.support_y[0])


@pytest.mark.long
def test_a_loaded_model_trains_on(tmp_path):
    """Optimizer state, seed and limits come back with a saved model: fitting on is the same as never having saved."""
    generator = np.random.default_rng(5)
    table = EmbeddingTable.from_arrays(generator.normal(size=(60, 8)), np.repeat(np.arange(6), 10))
    sampler = EpisodeSampler(table, ways=3, shots=1, queries=2)
    episodes = tf.data.Dataset.range(4).map(lambda i: sampler.sample(0, 2 * i, 2))
    model = LEO(LEOConfig(1, 1, num_latents=4), embedding_dim=8, seed=1)
    model.compile(keras.optimizers.Adam(0.01), seed=3, gradient_threshold=0.05)
    model.fit(episodes, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    model.fit(episodes, verbose=0)
    loaded.fit(episodes, verbose=0)
    for ours, theirs in zip(model.meta_variables, loaded.meta_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("given", [{"loss": "mse"}, {"metrics": ["accuracy"]}, {"weighted_metrics": ["accuracy"]}])
def test_losses_and_metrics_are_refused_not_ignored(given):
    with pytest.raises(
        InputError, match=rf"compile got {next(iter(given))}; expected none: LEO trains on its meta-obj"
    ):
        LEO(CONFIG, 8, seed=0).compile(**given)


def test_predict_answers_the_queries_of_episodes(dataset):
    model = compiled()
    answers = model.predict(dataset.take(2), verbose=0)
    expected = [model(Episode(*episode)) for episode in dataset.take(2)]
    np.testing.assert_allclose(answers, np.concatenate(expected), rtol=1e-5, atol=1e-6)
    assert answers.shape == (16, 20, 5)


@pytest.mark.long
def test_fit_compiles_with_xla_unless_told_otherwise(dataset):
    losses = {}
    for jit in (None, True, False):
        recorder = Recorder()
        compiled(jit_compile=jit).fit(dataset, verbose=0, callbacks=[recorder])
        losses[jit] = recorder.losses
    assert losses[None] == losses[True]
    np.testing.assert_allclose(losses[None], losses[False], rtol=2e-3)  # training amplifies rounding


def test_adapt_makes_one_graph_for_a_shape(dataset):
    model = LEO(CONFIG, 8, seed=0)
    episode = Episode(*next(iter(dataset)))
    first = model.adapt(episode.support_x, episode.support_y)
    assert model._compiled_adapt.experimental_get_tracing_count() == 1
    model.decoder.kernel.assign(2 * model.decoder.kernel)
    assert np.abs(model.adapt(episode.support_x, episode.support_y) - first).max() > 1e-3  # of today's weights
    assert model._compiled_adapt.experimental_get_tracing_count() == 1
    model.adapt(episode.support_x[:1], episode.support_y[:1])
    assert model._compiled_adapt.experimental_get_tracing_count() == 2


def test_a_missing_axis_of_tasks_is_named(dataset):
    episode = Episode(*next(iter(dataset)))
    with pytest.raises(
        InputError, match=r"shape \(5, 1, 8\); expected \[tasks, ways, shots, 8\]. One task alone: supp"
    ):
        LEO(CONFIG, 8, seed=0).adapt(episode.support_x[0], episode.support_y[0])


def test_short_reprs(dataset, table):
    assert repr(LEO(CONFIG, 8, seed=0)) == "<LEO for embeddings of 8, 2 + 1 inner steps, 300 parameters>"
    assert repr(Episode(*next(iter(dataset)))) == (
        "Episode(support_x (8, 5, 1, 8), support_y (8, 5, 1), query_x (8, 5, 4, 8), query_y (8, 5, 4))"
    )
    assert repr(table).startswith(
        "<EmbeddingTable random table: 9 classes x 24 rows (216), dim 8, unit length, sha256 "
    )
    assert repr(draw_tasks(table, 3, 2, 4, 5)).startswith("<Tasks 5 of 3-way 2-shot, 4 queries per class, data ")


SMALL = LEOConfig(1, 1, num_latents=4, kl_weight=0.01)


def small(optimizer, **options):
    model = LEO(SMALL, 8, seed=0, **options)
    model.compile(optimizer, run_eagerly=True, jit_compile=False)
    return model


def values_of(model):
    return [variable.numpy() for variable in model.meta_variables]


def freeze(model, frozen):
    """Freeze an attribute of a model, or all of it; return the indices of the frozen variables."""
    part = getattr(model, frozen) if frozen else model
    part.trainable = False
    return [index for index, variable in enumerate(model.meta_variables) if not variable.trainable]


@pytest.mark.parametrize("frozen,number", [("encoder", 4), ("", 7), ("latent_learning_rate", 1)])
def test_frozen_variables_do_not_move(dataset, frozen, number):
    model = small(keras.optimizers.Adam(0.02))
    kept = freeze(model, frozen)
    assert len(kept) == number and len(model.trainable_variables) == 7 - number
    before = values_of(model)
    model.fit(dataset.take(2), verbose=0)
    for index, (start, end) in enumerate(zip(before, values_of(model), strict=True)):
        assert np.array_equal(start, end) == (index in kept)


def test_a_saved_model_stays_frozen(dataset, tmp_path):
    model = small(keras.optimizers.Adam(0.02))
    freeze(model, "encoder")
    model.fit(dataset.take(1), verbose=0)
    model.save(tmp_path / "leo.keras")
    loaded = keras.saving.load_model(tmp_path / "leo.keras")
    assert len(loaded.trainable_variables) == 3
    assert len(loaded.optimizer.variables) == len(model.optimizer.variables)
    for ours, theirs in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Average(keras.callbacks.Callback):
    """The exponential moving average of the weights, by hand."""

    values = None

    def on_train_batch_end(self, batch, logs=None):
        new = values_of(self.model)
        self.values = new if self.values is None else [0.9 * a + 0.1 * b for a, b in zip(self.values, new, strict=True)]


@pytest.mark.parametrize("swapping", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_fit_with_moving_averages_ends_with_them(dataset, swapping):
    model, average = small(keras.optimizers.Adam(0.02, use_ema=True, ema_momentum=0.9)), Average()
    swap = [keras.callbacks.SwapEMAWeights()] if swapping else []
    history = model.fit(dataset.take(3), validation_data=dataset.take(1), callbacks=[average, *swap], verbose=0).history
    for ours, expected in zip(values_of(model), average.values, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)
    if swapping:
        loss = model.meta_loss(Episode(*next(iter(dataset))), training=False).loss
        assert history["val_loss"][0] == pytest.approx(float(loss), rel=1e-5)


def test_moving_averages_overwrite_the_weights(dataset):
    options = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2}
    first, averaged = small(keras.optimizers.SGD(1.0)), small(keras.optimizers.SGD(1.0, **options))
    second = small(keras.optimizers.SGD(1.0))
    for model, steps in ((first, 1), (second, 2), (averaged, 2)):
        model.fit(dataset.take(steps), verbose=0)
    for ours, one, two in zip(*map(values_of, (averaged, first, second)), strict=True):
        np.testing.assert_allclose(ours, (one + two) / 2, atol=1e-6)


def test_two_devices_fit_as_one(dataset):
    results = []
    for strategy in (tf.distribute.get_strategy(), make_strategy("mirrored", 8)):
        with strategy.scope():
            model = small(keras.optimizers.SGD(1.0))
        history = model.fit(dataset.take(2), verbose=0).history
        results.append((values_of(model), history["loss"] + history["accuracy"]))
    (one, metrics), (two, others) = results
    np.testing.assert_allclose(metrics, others, rtol=1e-5)
    for start, ours, theirs in zip(values_of(LEO(SMALL, 8, seed=0)), one, two, strict=True):
        assert np.abs(ours - start).max() > 1e-3
        np.testing.assert_allclose(theirs, ours, atol=2e-6)


@pytest.mark.parametrize("model_dtype", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_inputs_are_cast_as_by_keras_layers(make_episode, model_dtype, dtype):
    model = LEO(CONFIG, 8, seed=0, dtype=model_dtype)
    given = make_episode(dtype=dtype)
    same = Episode(*(tf.cast(part, model_dtype) if part.dtype.is_floating else part for part in given))
    classifier = model.adapt(given.support_x, given.support_y)
    assert classifier.dtype == model_dtype
    np.testing.assert_array_equal(classifier, model.adapt(same.support_x, same.support_y))
    np.testing.assert_array_equal(model.encode(given.support_x).mean(), model.encode(same.support_x).mean())
    queries = given.query_x[:, 0], tf.cast(classifier, dtype)
    assert model.classify(*queries).dtype == model_dtype
    outcomes = [model.meta_loss(each, True, seed=1) for each in (given, same)]
    assert outcomes[0].loss == outcomes[1].loss and outcomes[0].loss.dtype == model_dtype


def test_a_float64_model_fits_and_is_evaluated(dataset, make_episode):
    narrow, wide = (small(keras.optimizers.SGD(0.1), dtype=dtype) for dtype in ("float32", "float64"))
    for variable, value in zip(wide.meta_variables, values_of(narrow), strict=True):
        variable.assign(value)
    losses = [model.fit(dataset.take(2), verbose=0).history["loss"][0] for model in (narrow, wide)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    support = make_episode(dtype="float32")[:2]  # evaluation gives what a table holds
    ours, theirs = (adapted_by(model)(*support).weights for model in (wide, narrow))
    assert ours.dtype == tf.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "bfloat16"])
def test_half_precision_is_refused_in_words(dtype):
    message = rf"LEO got the dtype policy {dtype}; expected float32 or float64, .* Give dtype='float32'"
    with pytest.raises(InputError, match=message):
        LEO(CONFIG, 8, dtype=dtype)
