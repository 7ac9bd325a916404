"""Encoder and decoder return tfp distributions, exact where stddevs are tiny; hot paths use nothing else."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from leo_tf import LEO, InputError, LEOConfig
from leo_tf.layers import StochasticDecoder, StochasticEncoder, distributions

tfd = tfp.distributions


@pytest.fixture(scope="module")
def posterior():
    """A Gaussian over codes [2, 3] of 4 dimensions, one stddev on the floor."""
    rng = np.random.default_rng(0)
    stddev = rng.uniform(0.2, 1.5, (2, 3, 4))
    stddev[0, 0, 0] = 1e-10
    return distributions.gaussian(tf.constant(rng.normal(size=(2, 3, 4))), tf.constant(stddev))


@pytest.fixture(scope="module")
def noise():
    return tf.constant(np.random.default_rng(1).normal(size=(2, 3, 4)))


def test_a_sample_and_its_log_probability_against_scipy(posterior, noise):
    mean, stddev = posterior.mean().numpy(), posterior.stddev().numpy()
    np.testing.assert_allclose(distributions.sample_at(posterior, noise), mean + stddev * noise, rtol=1e-12)
    # Of the change of variables: at a stddev of 1e-10 the density at the sample is the noise's over it.
    expected = (stats.norm.logpdf(noise) - np.log(stddev)).sum(axis=-1)
    np.testing.assert_allclose(distributions.log_prob_at(posterior, noise), expected, rtol=1e-12)
    wide = distributions.gaussian(posterior.mean()[1], posterior.stddev()[1])
    z = distributions.sample_at(wide, noise[1])
    np.testing.assert_allclose(distributions.log_prob_at(wide, noise[1]), wide.log_prob(z), rtol=1e-9)


def test_the_sampled_kl_averages_to_the_analytic_one(posterior):
    draws = tf.constant(np.random.default_rng(2).normal(size=(20_000, 2, 3, 4)))
    sampled = distributions.sampled_kl(posterior, draws).numpy()
    error = sampled.std(axis=0) / np.sqrt(len(draws))
    mean, stddev = posterior.mean().numpy(), posterior.stddev().numpy()
    by_hand = (-np.log(stddev) + (stddev**2 + mean**2 - 1) / 2).sum(axis=-1)
    np.testing.assert_allclose(distributions.analytic_kl(posterior), by_hand, rtol=1e-12)
    assert np.all(np.abs(sampled.mean(axis=0) - by_hand) < 4 * error)


@pytest.mark.parametrize("kl", [distributions.sampled_kl, lambda q, _: distributions.analytic_kl(q)])
def test_compiled_in_float32_at_the_floor_all_gradients_are_finite(kl):
    mean, stddev = tf.constant([[0.3, -2.0]]), tf.constant([[1e-10, 0.7]])

    @tf.function(jit_compile=True)
    def gradients(mean, stddev, noise):
        with tf.GradientTape() as tape:
            tape.watch([mean, stddev])
            value = kl(distributions.gaussian(mean, stddev), noise)
        return value, tape.gradient(value, [mean, stddev])

    value, (to_mean, to_stddev) = gradients(mean, stddev, tf.zeros([1, 2]))
    assert np.isfinite(value).all() and np.isfinite(to_stddev).all()
    np.testing.assert_allclose(to_mean, mean, rtol=1e-6)
    np.testing.assert_allclose(to_stddev[0, 0], -1e10, rtol=1e-5)


@pytest.mark.parametrize("u", [-80.0, -20.0, 0.0, 3.0])
def test_a_scaled_exponential_spread_keeps_its_gradient(u):
    """As expm1(u) + 1 it would be 0 in float32 below -17, without a gradient."""
    raw = tf.constant(u)
    with tf.GradientTape() as tape:
        tape.watch(raw)
        stddev = distributions.scaled_exponential(raw, 0.5)
    assert float(stddev) > 0
    assert float(tape.gradient(stddev, raw)) == pytest.approx(float(stddev), rel=1e-6)


def test_a_bounded_spread_stays_within_a_factor_of_ten():
    raw = tf.constant([-1e6, -0.01, 0.0, 0.01, 1e6])
    with tf.GradientTape() as tape:
        tape.watch(raw)
        stddev = distributions.bounded_exponential(raw, 0.5)
    np.testing.assert_allclose(stddev, 0.5 * np.array([0.1, np.exp(-0.01), 1, np.exp(0.01), 10]), rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(stddev, raw), [0, *stddev[1:4], 0], rtol=1e-4)


def test_layers_return_distributions():
    encoder, decoder = StochasticEncoder(4), StochasticDecoder(8)
    encoder.build((2, 3, 2, 8))
    decoder.build((2, 3, 4))
    codes = encoder(tf.random.stateless_normal([2, 3, 2, 8], [0, 0]))
    weights = decoder(codes.mean(), initial_stddev=0.1)
    for distribution, dim in ((codes, 4), (weights, 8)):
        assert isinstance(distribution, tfd.MultivariateNormalDiag)
        assert distribution.batch_shape == [2, 3] and distribution.event_shape == [dim]
        assert distribution.sample(5, seed=tf.constant([1, 2])).shape == [5, 2, 3, dim]
    np.testing.assert_array_equal(decoder.mean(codes.mean()), weights.mean())


def test_a_decoder_with_hidden_layers_by_hand():
    decoder = StochasticDecoder(3, hidden=(5,), use_bias=True, to_stddev=distributions.scaled_exponential)
    decoder.build((None, 2))
    for variable in decoder.trainable_variables:
        variable.assign(np.random.default_rng(len(variable.path)).normal(size=variable.shape))
    latents = np.random.default_rng(3).normal(size=(4, 2)).astype(np.float32)
    first, last = (kernel.numpy() for kernel in decoder.kernels)
    raw = np.maximum(latents @ first + decoder.biases[0].numpy(), 0) @ last + decoder.biases[1].numpy()
    found = decoder(latents, initial_stddev=0.1)
    np.testing.assert_allclose(found.mean(), raw[:, :3], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.stddev(), 0.1 * np.exp(raw[:, 3:]), rtol=1e-5)
    np.testing.assert_allclose(decoder.mean(latents), found.mean(), rtol=1e-6)


def test_adaptation_starts_from_encode_and_decode(make_episode):
    """Without steps: the means in evaluation; in training a sample of each, at the pass's own noise."""
    config = LEOConfig(0, 0, num_latents=4, dropout_rate=0.0, codes_per_class="class")
    model, episode = LEO(config, 8, seed=1, dtype="float64"), make_episode()
    codes = model.encode(episode.support_x)
    np.testing.assert_array_equal(model.adapt(*episode[:2]), model.decode(codes.mean()).mean())
    noise = model.noise_from_bits(episode, model.draw_bits(episode, seed=3))
    sampled = distributions.sample_at(codes, noise.latents[:, :, 0])
    weights = distributions.sample_at(model.decode(sampled), noise.weights[:, 0, :, 0])
    adapted = model.adapt_in_training(*episode[:2], noise)
    np.testing.assert_allclose(adapted.parameters, weights, rtol=1e-10)
    kl = distributions.sampled_kl(codes, noise.latents[:, :, 0])
    np.testing.assert_allclose(adapted.kl, np.mean(kl, axis=1) / 4, rtol=1e-10)


def test_the_analytic_kl_of_a_model(make_episode):
    episode = make_episode(shots=2)
    sampled, analytic = (LEO(LEOConfig(num_latents=4, kl=kind), 8, seed=1, dtype="float64") for kind in
                         ("sampled", "analytic"))  # fmt: skip
    kl = analytic.meta_loss(episode, True, seed=0).kl
    other_seed = analytic.meta_loss(episode, True, noise=None, seed=5).kl
    assert np.abs(kl - sampled.meta_loss(episode, True, seed=0).kl).max() > 1e-3
    assert np.abs(kl - other_seed).max() > 0  # through dropout of what is encoded
    plain = LEO(LEOConfig(num_latents=4, kl="analytic", dropout_rate=0.0), 8, seed=1, dtype="float64")
    codes = plain.encode(episode.support_x)
    expected = np.mean(codes.kl_divergence(tfd.MultivariateNormalDiag(tf.zeros(4, tf.float64))), axis=1) / 4
    for seed in (0, 5):
        np.testing.assert_allclose(plain.meta_loss(episode, True, seed=seed).kl, expected, rtol=1e-9)


def test_a_model_without_encoder_cannot_encode(make_episode):
    with pytest.raises(InputError, match=r"This LEO has no encoder \(codes_from=prior\)"):
        LEO(LEOConfig(num_latents=4, codes_from="prior"), 8).encode(make_episode().support_x)
