"""What `fit`, `evaluate`, `predict` and `export` take: episodes, alone or from datasets, generators and PyDatasets."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, Episode, EpisodeSampler, InputError, LEOConfig
from leo_tf.classification.maml import MAML
from leo_tf.config import RegressionConfig
from leo_tf.config.maml import MAMLConfig
from leo_tf.regression import RegressionSampler
from leo_tf.regression.leo import RegressionLEO

BATCH, TASKS = 4, 9  # the last batch is smaller
ONE_STEP = MAMLConfig(maml_steps=1, maml_lr=0.5, dropout_rate=0.2)
NO_STEPS = LEOConfig(inner_unroll_length=0, finetuning_unroll_length=0, num_latents=4, dropout_rate=0.2)


class Batches(keras.utils.PyDataset):
    def __init__(self, episode, **kwargs):
        super().__init__(**kwargs)
        self.batches = list(batches(episode))

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def batches(episode):
    for first in range(0, TASKS, BATCH):
        yield type(episode)(*(part[first : first + BATCH] for part in episode))


def compiled(model):
    model.compile(keras.optimizers.SGD(0.0), seed=3, jit_compile=False)  # weights stay, so that losses can be compared
    return model


def mean_loss(model, episode):
    """The mean over tasks of the first epoch's training losses; and the mean over batches, which is another."""
    losses = [
        float(model.meta_loss(batch, True, seed=3, first_task=step * len(batch.query_y)).loss)
        for step, batch in enumerate(batches(episode))
    ]
    return np.average(losses, weights=[4, 4, 1]), np.mean(losses)


@pytest.fixture(scope="module")
def episode(table):
    return EpisodeSampler(table, 3, 1, 2).sample(0, 0, TASKS)


@pytest.fixture(scope="module")
def model():
    return compiled(MAML(ONE_STEP, 8, ways=3))


FORMS = {
    "episode": lambda episode: episode,
    "NumPy": lambda episode: Episode(*(np.asarray(part, np.float64) for part in episode)),
    "dataset": lambda episode: tf.data.Dataset.from_tensor_slices(episode).batch(BATCH),
    "generator": batches,
    "PyDataset": Batches,
    "PyDataset of threads": lambda episode: Batches(episode, workers=2),
}
SLOW = {"NumPy", "PyDataset of threads"}


@pytest.mark.parametrize("form", [pytest.param(form, marks=[pytest.mark.long] * (form in SLOW)) for form in FORMS])
def test_every_form_gives_the_means_over_tasks(model, episode, form):
    def data():
        return FORMS[form](episode)

    size = {"batch_size": BATCH} if form in ("episode", "NumPy") else {}
    answers = model.predict(data(), verbose=0, **size)
    np.testing.assert_allclose(answers, model(episode), rtol=1e-4, atol=1e-5)
    found = model.evaluate(data(), return_dict=True, verbose=0, **size)
    expected = model.meta_loss(episode, training=False)
    assert found["loss"] == pytest.approx(float(expected.loss), rel=1e-5)
    assert found["accuracy"] == pytest.approx(np.mean(expected.accuracy), rel=1e-5)

    model.optimizer.iterations.assign(0)
    history = model.fit(data(), validation_data=data(), shuffle=False, verbose=0, **size).history
    over_tasks, over_batches = mean_loss(model, episode)
    assert history["loss"][0] == pytest.approx(over_tasks, rel=1e-5)
    assert abs(over_tasks - over_batches) > 1e-3
    assert history["val_loss"][0] == pytest.approx(found["loss"], rel=1e-5)


def test_single_batches(model, episode):
    model.optimizer.iterations.assign(0)
    loss, _ = model.train_on_batch(episode)
    assert loss == pytest.approx(float(model.meta_loss(episode, True, seed=3).loss), rel=1e-5)
    assert model.test_on_batch(episode)[0] == pytest.approx(float(model.meta_loss(episode, False).loss), rel=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(episode), model(episode), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "spoil,received",
    [
        (lambda e: (e.query_x, e.query_y), r"arrays of shapes \(None, 3, 2, 8\), \(None, 3, 2\)"),
        (lambda e: (e.support_x,), r"arrays of shapes \(None, 3, 1, 8\)"),
        (lambda e: (e._asdict(),), "a dict"),
        (lambda e: (e._replace(query_x=e.query_x[..., :5]),), r"arrays of .*, \(None, 3, 2, 5\), \(None, 3, 2\)"),
    ],
    ids=["inputs and targets", "inputs", "dict", "other dim"],
)
def test_anything_else_is_refused(episode, spoil, received):
    expected = r"; expected tasks as Episode\(support_x \(None, 3, None, 8\), .*: one batch, or a tf\.data\.Dataset"
    fresh = compiled(MAML(ONE_STEP, 8, ways=3))
    for call in (fresh.fit, fresh.evaluate):
        with pytest.raises(InputError, match=f"The model got {received}{expected}"):
            call(*spoil(episode), verbose=0)


def test_a_fit_has_tasks_of_one_shape(table, episode):
    fresh, other = compiled(MAML(ONE_STEP, 8, ways=3)), EpisodeSampler(table, 3, 2, 2).sample(0, 0, 2)
    fresh.train_on_batch(episode)
    message = r"episodes of shapes \(None, 3, None, 8\), .* Before a fit on others, call model\.make_train_function"
    with pytest.raises(InputError, match=message):
        fresh.train_on_batch(other)
    fresh.make_train_function(force=True)
    loss = float(fresh.meta_loss(other, True, seed=3, first_task=2).loss)
    assert fresh.train_on_batch(other)[0] == pytest.approx(loss, rel=1e-5)


def regression_leo(**regression):
    config = LEOConfig(inner_unroll_length=0, finetuning_unroll_length=0, num_latents=2)
    return RegressionLEO(config, RegressionConfig(network_units=2, **regression), seed=0)


SAMPLES = {"training_samples": 2, "code_candidates": 2, "candidate_temperature": 5.0}


@pytest.mark.parametrize(
    "make",
    [
        lambda: LEO(NO_STEPS, 8, seed=0),
        regression_leo,
        pytest.param(
            lambda: regression_leo(code_components=2, training_loss="energy_score", **SAMPLES), marks=pytest.mark.long
        ),
        pytest.param(lambda: regression_leo(**SAMPLES), marks=pytest.mark.long),
    ],
    ids=["LEO", "regression", "mixture", "candidates"],
)
def test_a_fit_takes_batches_of_different_sizes(make, episode):
    model = compiled(make())
    if model.episode_type is not Episode:
        episode = RegressionSampler(3, 4).sample(0, 0, TASKS)
    data = tf.data.Dataset.from_tensor_slices(episode).batch(BATCH)
    history = model.fit(data, verbose=0).history
    assert history["loss"][0] == pytest.approx(mean_loss(model, episode)[0], rel=1e-4)


def test_export_of_the_call(table, episode, tmp_path):
    fresh = LEO(NO_STEPS, 8, seed=0)
    fresh(episode)
    fresh.export(tmp_path, verbose=False)
    loaded = tf.saved_model.load(str(tmp_path))
    for each in (episode, EpisodeSampler(table, 5, 3, 1).sample(1, 0, 2)):
        np.testing.assert_allclose(loaded.serve(each), fresh(each), rtol=1e-4, atol=1e-5)
        answer = loaded.signatures["serving_default"](**each._asdict())
        np.testing.assert_allclose(answer["output_0"], fresh(each), rtol=1e-4, atol=1e-5)


def test_export_of_fixed_ways(episode, tmp_path):
    MAML(ONE_STEP, 8, ways=3).export(tmp_path, verbose=False)
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.serve(episode), MAML(ONE_STEP, 8, ways=3)(episode), rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_export_of_regression(tmp_path):
    model, episode = regression_leo(), RegressionSampler(3, 4).sample(0, 0, 2)
    model.export(tmp_path, verbose=False)
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.serve(episode), model(episode), rtol=1e-4, atol=1e-5)
