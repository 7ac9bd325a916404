"""The meta-gradient through both inner loops: finite differences, and what a first-order version would give."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, LEOConfig, adaptation, objective
from leo_tf.classification.learner import Noise

CONFIG = LEOConfig(
    inner_unroll_length=2,
    finetuning_unroll_length=2,
    num_latents=3,
    dropout_rate=0.25,
    kl_weight=0.2,
    # Weight 0: its stop-gradient makes the meta-gradient no derivative of the loss. test_encoder_penalty_* is for it.
    encoder_penalty_weight=0.0,
    l2_penalty_weight=0.05,
    orthogonality_penalty_weight=0.3,
)
TASKS, WAYS, SHOTS, QUERIES, DIM = 2, 3, 2, 3, 6
EPSILON = 1e-6
VARIABLES = ("encoder", "relation0", "relation1", "relation2", "decoder", "latent_rate", "finetuning_rate")


class Case:
    """A model with fixed noise: the meta-loss as a function of the seven variables, and its gradient."""

    def __init__(self, episode, training, config=CONFIG):
        rng = np.random.default_rng(4)
        self.model = LEO(config, DIM, dtype="float64")
        for matrix, scale in zip(self.model.regularized_weights, [1.5, 1, 1, 1, 0.5], strict=True):
            matrix.assign(rng.normal(size=matrix.shape) * scale / np.sqrt(matrix.shape[0] / 2))
        self.model.latent_learning_rate.assign(rng.uniform(0.2, 0.8, 3))
        self.model.finetuning_learning_rate.assign(rng.uniform(0.1, 0.6, DIM))
        self.values = [variable.numpy() for variable in self.model.meta_variables]
        noise = Noise(
            tf.constant(rng.normal(size=(TASKS, WAYS, SHOTS, 3))),
            tf.constant(rng.normal(size=(TASKS, 3, WAYS, SHOTS, DIM))),
            tf.constant(rng.random((TASKS, 5, WAYS, SHOTS, DIM)) < 0.75),
            tf.constant(rng.random((TASKS, WAYS, QUERIES, DIM)) < 0.75),
        )
        self.evaluate = tf.function(
            lambda: self.model.meta_loss(episode, training, noise=noise if training else None).loss
        )

    def loss(self, index=None, change=None):
        """The meta-loss, with `change` added to variable number `index`."""
        if index is None:
            return float(self.evaluate())
        variable = self.model.meta_variables[index]
        variable.assign(self.values[index] + change)
        loss = float(self.evaluate())
        variable.assign(self.values[index])
        return loss

    def gradients(self):
        variables = [variable.value for variable in self.model.meta_variables]
        with tf.GradientTape() as tape:
            loss = self.evaluate()
        return [np.asarray(g) for g in tape.gradient(loss, variables)]

    def slope(self, index, direction):
        """The central difference of the meta-loss along a direction."""
        step = EPSILON * direction
        return (self.loss(index, step) - self.loss(index, -step)) / (2 * EPSILON)


@pytest.fixture(scope="module")
def episode(make_episode):
    return make_episode(TASKS, WAYS, SHOTS, QUERIES, DIM)


@pytest.fixture(scope="module", params=[True, False], ids=["stochastic", "deterministic"])
def case(request, episode):
    return Case(episode, request.param)


@pytest.fixture(scope="module")
def exact(case):
    return case.gradients()


def directions(shape, index):
    """Three random directions and three single elements."""
    rng = np.random.default_rng(index)
    for _ in range(3):
        direction = rng.normal(size=shape)
        yield direction / np.linalg.norm(direction)
    for element in rng.choice(np.prod(shape), 3, replace=False):
        yield (np.arange(np.prod(shape)) == element).astype(float).reshape(shape)


@pytest.mark.parametrize("index", range(7), ids=VARIABLES)
def test_finite_differences(case, exact, index):
    size = np.linalg.norm(exact[index])
    assert size > 1e-3
    for direction in directions(exact[index].shape, index):
        # Rounding of the loss, 1e-16 / EPSILON, bounds what small components can show.
        np.testing.assert_allclose(
            case.slope(index, direction), np.sum(exact[index] * direction), rtol=1e-6, atol=1e-7 * max(size, 1)
        )


def first_order(values, loss_of, learning_rate, steps, *_):
    path = [values]
    for step in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = loss_of(values, step)
        values = values - learning_rate * tf.stop_gradient(tape.gradient(loss, values))
        path.append(values)
    return path


def test_second_order_is_not_first_order(episode, monkeypatch):
    exact = Case(episode, True)
    second = exact.gradients()
    monkeypatch.setattr(adaptation, "descend", first_order)
    approximate = Case(episode, True)
    assert approximate.loss() == pytest.approx(exact.loss(), rel=1e-12)
    for name, ours, other in zip(VARIABLES, second, approximate.gradients(), strict=True):
        different = np.linalg.norm(ours - other) / np.linalg.norm(ours)
        assert different > 1e-2 or (name == "finetuning_rate" and different > 1e-4), (name, different)


def test_the_first_order_setting_equals_a_hand_written_one(episode, monkeypatch):
    switched = Case(episode, True, dataclasses.replace(CONFIG, first_order=True))
    loss, gradients = switched.loss(), switched.gradients()
    monkeypatch.setattr(adaptation, "descend", first_order)
    by_hand = Case(episode, True)
    assert loss == by_hand.loss()
    for ours, expected in zip(gradients, by_hand.gradients(), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_encoder_penalty_gradient_stops_at_the_adapted_codes():
    """With the adapted codes held where they are, the penalty is a plain function of the initial codes."""
    rng = np.random.default_rng(8)
    initial = tf.constant(rng.normal(size=(1, 2, 2, 3)))
    rate = tf.constant(0.1, tf.float64)

    def adapted_of(codes):
        return adaptation.descend(codes, lambda z, _: tf.reduce_sum(z**4), rate, 2)[-1]

    with tf.GradientTape() as tape:
        tape.watch(initial)
        penalty = objective.encoder_penalty(initial, adapted_of(initial))
    expected = 2 * (initial - adapted_of(initial)) / 12
    np.testing.assert_allclose(tape.gradient(penalty, initial), expected, rtol=1e-12)


def one_dimensional(steps, rate, start):
    """The official unit test's mock: decode to x * z^2 with x = 4; the loss is the decoded value itself."""
    path = adaptation.adapt(
        start, lambda z, _: 4.0 * z * z, lambda theta, _: tf.reduce_sum(theta), lambda theta, _: [theta], rate, steps
    )
    return path.latents[-1], path.parameters[-1]


@pytest.mark.parametrize("steps,expected", [(0, 4.0), (1, 0.8), (2, 0.16), (3, 0.032)])
def test_one_dimensional_adaptation(steps, expected):
    start = tf.constant([4.0], tf.float64)
    latents, parameters = one_dimensional(steps, tf.constant(0.1, tf.float64), start)
    np.testing.assert_allclose(latents, [expected], rtol=1e-9)
    np.testing.assert_allclose(parameters, [4 * expected**2], rtol=1e-9)


def test_one_dimensional_meta_gradient():
    """z3 = z0 (1 - 8 rate)^3: dz3/dz0 = 0.008, dz3/drate = -24 z0 (0.2)^2 = -3.84; to first order 1 and -39.68."""
    start, rate = tf.constant([4.0], tf.float64), tf.constant(0.1, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch([start, rate])
        latents, _ = one_dimensional(3, rate, start)
    to_start, to_rate = tape.gradient(latents, [start, rate])
    np.testing.assert_allclose(to_start, [0.008], rtol=1e-9)
    np.testing.assert_allclose(to_rate, -3.84, rtol=1e-9)


def test_fine_tuning_starts_from_the_last_decode():
    """Two latent steps, then two on theta with loss theta^2: theta <- theta (1 - 2 rate); steps count through both."""
    uses = []

    def decode(latents, step):
        uses.append(("decode", step))
        return latents + 1.0

    def loss(theta, step):
        uses.append(("loss", step))
        return tf.reduce_sum(theta**2)

    def fine_tune(theta, loss):
        return adaptation.descend(theta, loss, tf.constant(0.1), 2)

    path = adaptation.adapt(tf.constant([3.0]), decode, loss, fine_tune, tf.constant(0.25), 2)
    np.testing.assert_allclose(path.latents[-1], [0.0], atol=1e-6)  # 3 -> 3 - 0.5 * 4 = 1 -> 1 - 0.5 * 2 = 0
    np.testing.assert_allclose(path.parameters[-1], [0.64], rtol=1e-6)  # 1 -> 0.8 -> 0.64
    assert uses == [("decode", 0), ("loss", 0), ("decode", 1), ("loss", 1), ("decode", 2), ("loss", 2), ("loss", 3)]
