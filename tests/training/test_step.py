"""MetaSteps: the same numbers whatever the replicas, chunks and compilation; what its metrics and guard report."""

import dataclasses
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import leo_tf
from leo_tf import LEO, EpisodeSampler, InputError, LEOConfig, gradients
from leo_tf.config import TrainingConfig
from leo_tf.learners import ADAM_EPSILON
from leo_tf.training import MetaSteps
from leo_tf.training.strategy import make_strategy

MODEL = LEOConfig(
    inner_unroll_length=2,
    finetuning_unroll_length=1,
    num_latents=4,
    finetuning_lr_init=0.1,
    dropout_rate=0.25,
    kl_weight=0.1,
    encoder_penalty_weight=0.1,
    l2_penalty_weight=1e-3,
    orthogonality_penalty_weight=0.1,
)
TRAINING = TrainingConfig(metatrain_batch_size=4, outer_lr=0.01, seed=7, jit="off")


class Run:
    """A small run from its first step."""

    def __init__(self, table, distribution="none", make_model=LEO, shapes=((3, 2),), **training):
        self.training = dataclasses.replace(TRAINING, **training)
        self.strategy = make_strategy(distribution, self.training.metatrain_batch_size)
        with self.strategy.scope():
            self.samplers = [EpisodeSampler(table, *shape, 4) for shape in shapes]
            self.model = make_model(MODEL, table.dim, seed=self.training.seed)
            self.optimizer = keras.optimizers.Adam(self.training.outer_lr, epsilon=ADAM_EPSILON)
            self.optimizer.build(self.model.meta_variables)
        self.trainer = MetaSteps(self.model, self.optimizer, self.samplers, self.strategy, self.training)
        self.start = [np.array(variable) for variable in self.variables]

    @property
    def variables(self):
        return self.model.meta_variables + self.optimizer.variables

    def restart(self):
        """Return to the first step, with what has been traced, which takes seconds: on one device alone."""
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)
        return self

    def steps(self, number):
        return {name: value.numpy() for name, value in self.trainer.run(tf.constant(number)).items()}

    def weights(self):
        return [np.array(variable) for variable in self.model.meta_variables]

    def replicas(self):
        """Every replica's own copy of the variables."""
        return [
            [copy.numpy() for copy in self.strategy.experimental_local_results(variable.value)]
            for variable in self.model.meta_variables
        ]


def first_adam_update(gradient):
    """TF1's Adam, whose epsilon stands beside the uncorrected second moment: sqrt(0.001 g^2) on the first step."""
    return -0.01 * gradient / (np.abs(gradient) + 1e-8 / np.sqrt(0.001))


def assert_near(actual, expected, tolerance):
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


@pytest.fixture(scope="module")
def single(table):
    """A run on one device, to restart."""
    return Run(table)


@pytest.fixture(scope="module")
def whole(single):
    """(weights, metrics) after six steps in one call on one device."""
    metrics = single.restart().steps(6)
    assert int(single.optimizer.iterations.numpy()) == 6
    return single.weights(), metrics


@pytest.fixture(scope="module")
def chunks(single):
    """(weights, [metrics]) after the same steps in calls of 3, 1, 1 and 1."""
    single.restart()
    metrics = [single.steps(number) for number in (3, 1, 1, 1)]
    assert int(single.optimizer.iterations.numpy()) == 6
    return single.weights(), metrics


def test_steps_per_call_change_nothing(whole, chunks):
    for ours, theirs in zip(whole[0], chunks[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    fresh = LEO(MODEL, 8, seed=7)
    for ours, before in zip(whole[0], fresh.meta_variables, strict=True):
        assert np.abs(ours - before.numpy()).max() > 0.01


def test_metrics_are_averages_over_steps(whole, chunks):
    first_three, *others = chunks[1]
    for name, value in whole[1].items():
        average = (3 * first_three[name] + sum(other[name] for other in others)) / 6
        np.testing.assert_allclose(value, average, rtol=1e-5, err_msg=name)
    assert len({float(metrics["loss"]) for metrics in chunks[1]}) == 4


@pytest.mark.long
def test_another_seed_is_another_run(table, whole):
    run = Run(table, seed=8)
    other = run.steps(6)
    assert abs(other["loss"] - whole[1]["loss"]) > 1e-4


def test_a_step_by_hand(table, single):
    """One step from the parts: tasks 0..3 of the run, their meta-loss, guard, limits and Adam's first update."""
    run = single.restart()
    before = run.weights()
    metrics = run.steps(1)
    model = LEO(MODEL, table.dim, seed=7)
    with tf.GradientTape() as tape:
        outcome = model.meta_loss(run.samplers[0].sample(7, 0, 4), True, seed=7)
    values = tape.gradient(outcome.loss, [variable.value for variable in model.meta_variables])
    for name in ("loss", "query_loss", "accuracy", "kl", "encoder_penalty", "regularization"):
        np.testing.assert_allclose(metrics[name], np.mean(getattr(outcome, name)), rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(metrics["gradient_norms"], [np.linalg.norm(g) for g in values], rtol=1e-4)
    assert metrics["nan_steps"] == 0
    limited = [np.asarray(g) for g in gradients.clip(values, 0.1, 0.1)]
    for start, end, g in zip(before, run.weights(), limited, strict=True):
        sure = np.abs(g) > 1e-5  # nearer to 0, rounding decides an element's update
        np.testing.assert_allclose((end - start)[sure], first_adam_update(g)[sure], atol=5e-6)
        assert sure.mean() > 0.3


def test_the_second_step_takes_the_next_tasks(single, chunks):
    run, metrics = single.restart(), chunks[1]
    run.steps(3)
    outcome = run.model.meta_loss(run.samplers[0].sample(7, 12, 4), True, seed=7, first_task=12)
    np.testing.assert_allclose(metrics[1]["loss"], outcome.loss, rtol=1e-5)
    np.testing.assert_allclose(metrics[1]["accuracy"], np.mean(outcome.accuracy), rtol=1e-6)


def test_two_replicas_agree_with_one(table, whole):
    run = Run(table, "mirrored")
    assert run.strategy.num_replicas_in_sync == 2
    metrics = run.steps(6)
    assert_near(run.weights(), whole[0], 2e-4)  # Adam's division magnifies the rounding of small gradients
    for name, value in whole[1].items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    for first, second in run.replicas():
        np.testing.assert_array_equal(first, second)


def test_steps_of_several_shapes(table):
    """Each step's shape depends on its number, not on how many steps a call takes."""
    run = Run(table, shapes=((4, 1), (3, 2)))
    losses = [run.steps(1)["loss"] for _ in range(8)]
    stepwise = run.weights()
    assert run.restart().steps(8)["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    for first, second in zip(run.weights(), stepwise, strict=True):
        np.testing.assert_array_equal(first, second)
    run.restart()
    alone = [run.model.meta_loss(sampler.sample(7, 0, 4), True, seed=7).loss for sampler in run.samplers]
    assert any(losses[0] == pytest.approx(float(loss), rel=1e-5) for loss in alone)


@pytest.mark.long
def test_steps_of_several_shapes_on_two_replicas(table):
    shapes = ((4, 1), (3, 2), (2, 3))
    whole, two = Run(table, shapes=shapes), Run(table, "mirrored", shapes=shapes)
    whole.steps(8)
    two.steps(8)
    assert_near(two.weights(), whole.weights(), 2e-4)


@pytest.mark.long
def test_compilation_changes_rounding_only(table, whole):
    run = Run(table, jit="on")
    metrics = run.steps(6)
    assert_near(run.weights(), whole[0], 2e-4)
    np.testing.assert_allclose(metrics["loss"], whole[1]["loss"], rtol=1e-4)


def with_frozen(part):
    """A LEO with a frozen part, or all of it."""

    def make(*args, **kwargs):
        model = LEO(*args, **kwargs)
        (getattr(model, part) if part else model).trainable = False
        return model

    return make


def test_frozen_variables_do_not_move(table, single):
    run = Run(table, make_model=with_frozen("encoder"))
    before, metrics = run.weights(), run.steps(2)
    assert metrics["gradient_norms"].shape == (3,)
    for index, (start, end) in enumerate(zip(before, run.weights(), strict=True)):
        assert np.array_equal(start, end) == (index < 4)
    with pytest.raises(InputError, match=r"All variables of the LEO are frozen; set trainable=True"):
        Run(table, make_model=with_frozen(""))


class Planted:
    """A table with one row of NaN, which EmbeddingTable itself would refuse."""

    def __init__(self, table, row):
        self.__dict__.update({name: getattr(table, name) for name in ("class_names", "class_sizes", "class_offsets")})
        self.num_classes, self.dim, self.source = table.num_classes, table.dim, "planted"
        self.embeddings = table.embeddings.copy()
        self.embeddings[row] = np.nan


@pytest.fixture(scope="module")
def rare_row(table):
    """A row that in the first step only the second replica draws (in tasks 2 and 3), in the second step neither."""
    tasks = np.asarray(EpisodeSampler(table, 3, 2, 4).rows(7, 0, 8)[1]).reshape(8, -1)
    others = np.concatenate([tasks[:2].ravel(), tasks[4:].ravel()])
    return np.setdiff1d(tasks[2:4].ravel(), others)[0]


@pytest.mark.parametrize("distribution", ["none", pytest.param("mirrored", marks=pytest.mark.long)])
def test_one_nan_embedding_pulls_all_weights(table, rare_row, distribution):
    run = Run(Planted(table, rare_row), distribution)
    before = run.weights()
    metrics = run.steps(1)
    assert metrics["nan_steps"] == 1
    assert np.isnan(metrics["loss"])
    for start, end in zip(before[:5], run.weights()[:5], strict=True):
        pull = gradients.clip([tf.constant(1e-4 * start)], 0.1, 0.1)[0].numpy()
        np.testing.assert_allclose(end - start, first_adam_update(pull), atol=5e-6)
    for start, end in zip(before[5:], run.weights()[5:], strict=True):
        np.testing.assert_array_equal(start, end)
    for copies in run.replicas():
        for copy in copies:
            np.testing.assert_array_equal(copy, copies[0])
    # The next step is as usual.
    metrics = run.steps(1)
    assert metrics["nan_steps"] == 0
    assert np.isfinite(metrics["loss"])
    assert all(np.isfinite(value).all() for value in run.weights())


@pytest.mark.long
def test_a_nan_loss_of_one_replica_reaches_the_guard_of_all(table, rare_row):
    """Every gradient stays finite here, so that the other replica learns of the NaN through the loss alone."""
    marker = table.embeddings[rare_row, 0]

    class NaNLoss(LEO):
        def meta_loss_on_features(self, episode, *args, **kwargs):
            outcome = super().meta_loss_on_features(episode, *args, **kwargs)
            rows = tf.concat([episode.support_x, episode.query_x], axis=2)
            met = tf.reduce_any(tf.equal(rows[..., 0], marker))
            return outcome._replace(loss=outcome.loss + tf.where(met, np.float32(np.nan), 0.0))

    run = Run(table, "mirrored", NaNLoss)
    before = run.weights()
    assert run.steps(1)["nan_steps"] == 1
    for copies, start in zip(run.replicas(), before, strict=True):
        np.testing.assert_array_equal(copies[0], copies[1])
        assert np.abs(copies[0]).sum() <= np.abs(start).sum()
    np.testing.assert_array_equal(run.weights()[5], before[5])


def test_a_meta_batch_that_does_not_divide_is_an_error():
    with pytest.raises(
        InputError, match=r"metatrain_batch_size=5 cannot be split evenly over 2 replicas; .* e.g. 6, or"
    ):
        make_strategy("mirrored", 5)
    assert make_strategy("none", 5).num_replicas_in_sync == 1
    assert make_strategy("auto", 5).num_replicas_in_sync == 1  # no GPUs here


def test_mirrored_over_one_device_uses_the_default_strategy(monkeypatch):
    """Such a strategy's update inside a tf.function ends in a traceback."""
    one = tf.config.list_logical_devices("CPU")[:1]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: one if kind == "CPU" else [])
    assert not isinstance(make_strategy("mirrored", 5), tf.distribute.MirroredStrategy)


def test_an_eager_step_of_leo_visits_at_most_14_files(table):
    """A reader who follows a meta-step opens no more files than that."""
    run, package, visited = Run(table), str(Path(leo_tf.__file__).parent), set()

    def record(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(package):
            visited.add(Path(frame.f_code.co_filename).relative_to(package).as_posix())

    previous = sys.getprofile()
    tf.config.run_functions_eagerly(True)
    sys.setprofile(record)
    try:
        run.steps(1)
    finally:
        sys.setprofile(previous)
        tf.config.run_functions_eagerly(False)
    assert {"training/step.py", "classification/leo.py", "adaptation.py", "gradients.py"} <= visited
    assert len(visited) <= 14, sorted(visited)
