"""Every number of a pass through LEO against the independent NumPy computation in oracle.py, in float64."""

import dataclasses

import numpy as np
import oracle
import pytest
import tensorflow as tf

from leo_tf import LEO, LEOConfig, adaptation, objective
from leo_tf.classification.learner import Noise
from leo_tf.layers import distributions

CONFIG = LEOConfig(
    inner_unroll_length=3,
    finetuning_unroll_length=2,
    num_latents=4,
    dropout_rate=0.3,
    kl_weight=0.7,
    encoder_penalty_weight=0.5,
    l2_penalty_weight=0.01,
    orthogonality_penalty_weight=0.3,
)
STEPS = (3, 2)
KEEP = round(0.7 * 256) / 256  # dropout's rate in 8 bits
TASKS, WAYS, QUERIES, DIM = 2, 3, 4, 8
TERMS = ("query_loss", "accuracy", "kl", "encoder_penalty")


@pytest.fixture(scope="module")
def model():
    """A model far from its initial state: every learning rate differs, every code has spread."""
    rng = np.random.default_rng(5)
    model = LEO(CONFIG, DIM, dtype="float64")
    for matrix, scale in zip(model.regularized_weights, [1, 1, 1, 1, 0.4], strict=True):
        matrix.assign(rng.normal(size=matrix.shape) * scale / np.sqrt(matrix.shape[0] / 2))
    model.latent_learning_rate.assign(rng.uniform(0.05, 0.5, 4))
    model.finetuning_learning_rate.assign(rng.uniform(0.05, 0.6, DIM))
    return model


@pytest.fixture(scope="module")
def weights(model):
    return [variable.numpy() for variable in model.meta_variables]


def make_noise(shots, seed=11):
    rng = np.random.default_rng(seed)
    return Noise(
        latents=rng.normal(size=(TASKS, WAYS, shots, 4)),
        weights=rng.normal(size=(TASKS, STEPS[0] + 1, WAYS, shots, DIM)),
        support_masks=rng.random((TASKS, 1 + sum(STEPS), WAYS, shots, DIM)) < KEEP,
        query_mask=rng.random((TASKS, WAYS, QUERIES, DIM)) < KEEP,
    )


def expected_terms(weights, episode, noise):
    """The oracle's terms, stacked over tasks."""
    parts = [np.asarray(part) for part in episode]
    tasks = [
        oracle.task_terms(
            weights,
            *(part[t] for part in parts),
            None if noise is None else Noise(*(None if field is None else field[t] for field in noise)),
            STEPS,
            KEEP,
        )
        for t in range(TASKS)
    ]
    return {name: np.stack([task[name] for task in tasks]) for name in tasks[0]}


def expected_regularization(weights):
    return 0.01 * oracle.half_l2(weights[:5]) + 0.3 * oracle.orthogonality(weights[4])


def assert_equal_terms(outcome, terms, weights):
    for name in TERMS:
        np.testing.assert_allclose(getattr(outcome, name), terms[name], rtol=1e-9, err_msg=name)
    regularization = expected_regularization(weights)
    np.testing.assert_allclose(outcome.regularization, regularization, rtol=1e-9)
    losses = terms["query_loss"] + 0.7 * terms["kl"] + 0.5 * terms["encoder_penalty"]
    np.testing.assert_allclose(outcome.loss, losses.mean() + regularization, rtol=1e-9)


@pytest.mark.parametrize("shots", [1, 3])
def test_encoder(model, weights, make_episode, shots):
    episode = make_episode(shots=shots)
    terms = expected_terms(weights, episode, None)
    codes = model.encode(episode.support_x)
    np.testing.assert_allclose(codes.mean(), terms["mean"], rtol=1e-9)
    np.testing.assert_allclose(codes.stddev(), terms["stddev"], rtol=1e-9)
    # The case is worth its name: some codes have spread, some are on the floor.
    assert 0 < np.mean(terms["stddev"] == 1e-10) < 1


@pytest.mark.parametrize("ways", [3, 20])
def test_decoder_spread_starts_at_glorots(model, weights, ways):
    latents = np.random.default_rng(2).normal(size=(2, ways, 4))
    weights_of = model.decode(latents)
    mean, stddev = weights_of.mean(), weights_of.stddev()
    expected = oracle.split(latents @ weights[4], np.sqrt(2 / (ways + DIM)))
    np.testing.assert_allclose(mean, expected[0], rtol=1e-9)
    np.testing.assert_allclose(stddev, expected[1], rtol=1e-9)
    np.testing.assert_allclose(model.decoder.mean(tf.constant(latents)), expected[0], rtol=1e-9)
    at_zero = model.decode(tf.zeros([1, ways, 4], tf.float64)).stddev()
    np.testing.assert_allclose(at_zero, np.full((1, ways, DIM), np.sqrt(2 / (ways + DIM))), rtol=1e-12)


def test_spread_has_a_floor_without_gradient():
    u = tf.constant([-5.0, -1e-3, 0.0, 1e-3, 0.7], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(u)
        stddev = distributions.shifted_exponential(u, 0.0)
    np.testing.assert_allclose(stddev, [1e-10, 1e-10, 1e-10, np.exp(1e-3) - 1, np.exp(0.7) - 1], rtol=1e-9)
    np.testing.assert_allclose(tape.gradient(stddev, u), [0, 0, 0, np.exp(1e-3), np.exp(0.7)], rtol=1e-9)


def element_by_element(mean, stddev, noise):
    """The sampled KL of one-dimensional Gaussians."""
    stddev = tf.broadcast_to(stddev, mean.shape)
    return distributions.sampled_kl(distributions.gaussian(mean[:, None], stddev[:, None]), noise[:, None])


def test_kl_is_the_log_ratio_of_the_densities_at_the_sample():
    mean, stddev, noise = (tf.constant(v, tf.float64) for v in ([0.3, -2.0], [0.5, 1.7], [1.1, -0.4]))
    kl = element_by_element(mean, stddev, noise)
    # log(1/0.5) - 1.1^2/2 + (0.3 + 0.55)^2/2 and log(1/1.7) - 0.4^2/2 + (-2 - 0.68)^2/2
    np.testing.assert_allclose(kl, [np.log(2) - 0.605 + 0.36125, -np.log(1.7) - 0.08 + 3.5912], rtol=1e-12)


def test_kl_of_a_code_on_the_floor_is_exact_in_float32():
    noise = tf.constant([0.0, 1.0, -3.0])
    with tf.GradientTape() as tape:
        mean = tf.constant([0.7, 0.7, 0.7])
        tape.watch(mean)
        kl = element_by_element(mean, tf.fill([3], 1e-10), noise)
    expected = 10 * np.log(10) - np.array([0, 0.5, 4.5]) + 0.245  # each about 23 nats
    np.testing.assert_allclose(kl, expected, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(kl, mean), [0.7, 0.7, 0.7], rtol=1e-6)


def test_sampled_kl_averages_to_the_analytic_one():
    noise = np.random.default_rng(3).normal(size=200_000)
    spread = tf.constant(0.6, tf.float64)
    kl = element_by_element(tf.fill([200_000], tf.constant(0.4, tf.float64)), spread, tf.constant(noise)).numpy()
    analytic = -np.log(0.6) + (0.6**2 + 0.4**2 - 1) / 2
    assert abs(kl.mean() - analytic) < 4 * kl.std() / np.sqrt(noise.size)


def test_orthogonality_penalty(weights):
    np.testing.assert_allclose(
        objective.orthogonality_penalty(tf.constant(weights[4])), oracle.orthogonality(weights[4]), rtol=1e-9
    )
    # Two equal rows and one at right angles: two of nine correlations are 1 instead of 0.
    by_hand = objective.orthogonality_penalty(tf.constant([[3.0, 0.0], [1.0, 0.0], [0.0, 5.0]], tf.float64))
    np.testing.assert_allclose(by_hand, 2 / 9, rtol=1e-12)


def test_l2_penalty_is_halved():
    assert float(objective.l2_penalty([tf.constant([[1.0, 2.0]]), tf.constant([[3.0]])])) == 7.0


def test_encoder_penalty_draws_only_the_initial_codes():
    initial, adapted = tf.constant([[[[1.0, 2.0]]]]), tf.constant([[[[4.0, 0.0]]]])
    with tf.GradientTape() as tape:
        tape.watch([initial, adapted])
        penalty = objective.encoder_penalty(initial, adapted)
    assert penalty.numpy() == [6.5]
    to_initial, to_adapted = tape.gradient(penalty, [initial, adapted])
    np.testing.assert_array_equal(to_initial, [[[[-3.0, 2.0]]]])
    assert to_adapted is None


@pytest.mark.parametrize("shots", [1, 3])
def test_stochastic_pass(model, weights, make_episode, shots):
    episode, noise = make_episode(shots=shots), make_noise(shots)
    assert_equal_terms(model.meta_loss(episode, True, noise=noise), expected_terms(weights, episode, noise), weights)


@pytest.mark.parametrize(
    ("settings", "without"),
    [({"dropout_rate": 0.0}, ["support_masks", "query_mask"])],
)
def test_stochastic_pass_without_dropout(weights, make_episode, settings, without):
    episode, noise = make_episode(shots=3), make_noise(3)
    model = LEO(dataclasses.replace(CONFIG, **settings), DIM, dtype="float64")
    for variable, value in zip(model.meta_variables, weights, strict=True):
        variable.assign(value)
    expected = noise._replace(**dict.fromkeys(without))
    given = expected if "dropout_rate" in settings else noise  # whose mask of the queries is not used
    assert_equal_terms(model.meta_loss(episode, True, noise=given), expected_terms(weights, episode, expected), weights)


@pytest.mark.parametrize("shots", [1, 3])
def test_inner_steps(model, weights, make_episode, shots, monkeypatch):
    """Initial and adapted codes and the weights, all K copies, where the stochastic pass computes them."""
    episode, noise, seen = make_episode(shots=shots), make_noise(shots), {}

    def spy(latents, *args, adapt=adaptation.adapt):
        path = adapt(latents, *args)
        seen.update(initial=latents, latents=path.latents[-1], classifier=path.parameters[-1])
        return path

    monkeypatch.setattr(adaptation, "adapt", spy)
    model.meta_loss(episode, True, noise=noise)
    terms = expected_terms(weights, episode, noise)
    np.testing.assert_allclose(seen["initial"], terms["initial"], rtol=1e-9)
    np.testing.assert_allclose(seen["latents"], terms["latents"], rtol=1e-9)
    np.testing.assert_allclose(seen["classifier"], terms["weights"].mean(axis=2), rtol=1e-9)
    # Adaptation did something, to every code.
    assert np.abs(terms["latents"] - terms["initial"]).min() > 1e-4


@pytest.mark.parametrize("shots", [1, 3])
def test_one_code_a_class_equals_k_equal_copies(model, weights, make_episode, shots):
    """The deterministic pass keeps one code; the specification adapts K copies at 1/K of the gradient each."""
    episode = make_episode(shots=shots)
    terms = expected_terms(weights, episode, None)
    outcome = model.meta_loss(episode, training=False)
    assert_equal_terms(outcome, terms, weights)
    classifier = model.adapt(episode.support_x, episode.support_y)
    for copy in range(shots):
        np.testing.assert_allclose(classifier, terms["weights"][:, :, copy], rtol=1e-9)
    logits = model(episode)
    np.testing.assert_allclose(
        logits,
        np.asarray(episode.query_x).reshape(TASKS, -1, DIM) @ terms["weights"][:, :, 0].swapaxes(1, 2),
        rtol=1e-9,
    )


def test_noise_and_dropout_matter(model, make_episode):
    """Each field of the noise reaches the loss: none of the agreements above is vacuous."""
    episode, noise, other = make_episode(shots=3), make_noise(3), make_noise(3, seed=12)
    loss = float(model.meta_loss(episode, True, noise=noise).loss)
    for field in Noise._fields:
        changed = noise._replace(**{field: getattr(other, field)})
        assert abs(float(model.meta_loss(episode, True, noise=changed).loss) - loss) > 1e-4, field
