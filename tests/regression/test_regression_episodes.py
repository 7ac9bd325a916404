"""The sampler of sinusoids and lines: values, distributions, and dependence on seed and task alone."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from leo_tf import InputError, randomness
from leo_tf.randomness import EPISODES, TEST, VALIDATION, stream_seed
from leo_tf.regression.episodes import Functions, RegressionSampler

COUNT = 4000
LEAST_P = 1e-3  # of about thirty tests on fixed seeds, of which none is so rare by chance


class Drawn:
    """Many tasks of 5 + 15 points in float64, and the noise on their targets."""

    def __init__(self, noise_stddev=0.3):
        sampler = RegressionSampler(5, 15, noise_stddev)
        functions, episode = sampler.functions(11, 0, COUNT), sampler.sample(11, 0, COUNT)
        self.is_sinusoid = functions.is_sinusoid.numpy()
        self.first, self.second = functions.coefficients.numpy().astype(np.float64).T
        x, y = (
            np.concatenate([np.asarray(episode[i], np.float64), np.asarray(episode[i + 2], np.float64)], axis=1)
            for i in (0, 1)
        )
        self.x, self.y = x[..., 0], y[..., 0]
        self.noise = self.y - values(self.is_sinusoid, self.first, self.second, self.x)


def values(is_sinusoid, first, second, x):
    """NumPy: the definition, A sin(x - phase) or a x + b, for a row of x of each task."""
    rows = [a * np.sin(r - b) if s else a * r + b for s, a, b, r in zip(is_sinusoid, first, second, x, strict=True)]
    return np.stack(rows)


@pytest.fixture(scope="module")
def drawn():
    return Drawn()


def p_uniform(sample, low, high):
    assert low <= sample.min() and sample.max() <= high
    return stats.kstest(sample, stats.uniform(low, high - low).cdf).pvalue


def test_half_of_the_tasks_are_sinusoids_in_random_order(drawn):
    assert stats.binomtest(int(drawn.is_sinusoid.sum()), COUNT, 0.5).pvalue > LEAST_P
    changes = int(np.sum(drawn.is_sinusoid[1:] != drawn.is_sinusoid[:-1]))
    assert stats.binomtest(changes, COUNT - 1, 0.5).pvalue > LEAST_P


@pytest.mark.parametrize(
    "sinusoid,coefficient,low,high",
    [(True, "first", 0.1, 5.0), (True, "second", 0.0, np.pi), (False, "first", -3, 3), (False, "second", -3, 3)],
    ids=["amplitude", "phase", "slope", "intercept"],
)
def test_coefficients_are_uniform(drawn, sinusoid, coefficient, low, high):
    sample = getattr(drawn, coefficient)[drawn.is_sinusoid == sinusoid]
    assert p_uniform(sample, low, high) > LEAST_P


def test_inputs_are_uniform(drawn):
    assert p_uniform(drawn.x.ravel(), -5, 5) > LEAST_P
    for place in (0, 4, 5, 19):
        assert p_uniform(drawn.x[:, place], -5, 5) > LEAST_P


def test_noise_is_normal_with_the_given_stddev(drawn):
    noise = drawn.noise.ravel()
    assert abs(noise.mean()) < 4 * 0.3 / np.sqrt(noise.size)
    assert abs(noise.std() / 0.3 - 1) < 4 / np.sqrt(2 * noise.size)
    assert stats.kstest(drawn.noise[:, 3] / 0.3, "norm").pvalue > LEAST_P
    other = Drawn(0.7)
    np.testing.assert_allclose(other.noise, drawn.noise * 0.7 / 0.3, atol=1e-5)
    np.testing.assert_array_equal(other.x, drawn.x)


def test_all_draws_are_uncorrelated(drawn):
    columns = [drawn.is_sinusoid, drawn.first, drawn.second, *drawn.x.T, *drawn.noise.T]
    for family in (drawn.is_sinusoid, ~drawn.is_sinusoid):
        within = np.stack([column[family] for column in columns[1:]])
        correlations = np.corrcoef(within)[np.triu_indices(len(within), 1)]
        assert np.abs(correlations).max() < 4.8 / np.sqrt(family.sum())  # of 861 pairs
    correlations = [np.corrcoef(drawn.is_sinusoid, column)[0, 1] for column in [*drawn.x.T, *drawn.noise.T]]
    assert np.abs(correlations).max() < 4.5 / np.sqrt(COUNT)
    # Neither does a task on the one before, nor does the noise's size on the input.
    for column in columns:
        assert abs(np.corrcoef(column[1:], column[:-1])[0, 1]) < 4.5 / np.sqrt(COUNT)
    assert abs(np.corrcoef(drawn.noise.ravel() ** 2, drawn.x.ravel())[0, 1]) < 4 / np.sqrt(drawn.x.size)


def test_without_noise_the_targets_are_the_values_of_the_functions():
    sampler = RegressionSampler(3, 4, 0.0)
    functions, episode = sampler.functions(2, 30, 50), sampler.sample(2, 30, 50)
    first, second = functions.coefficients.numpy().T
    for x, y in (episode[:2], episode[2:]):
        assert x.dtype == y.dtype == tf.float32 and x.shape == y.shape
        expected = values(functions.is_sinusoid.numpy(), first, second, x.numpy()[..., 0])
        np.testing.assert_allclose(y[..., 0], expected, atol=1e-5)
        np.testing.assert_allclose(functions(x), y, atol=1e-5)
    assert episode.support_x.shape == (50, 3, 1) and episode.query_x.shape == (50, 4, 1)


def test_function_values_by_hand():
    functions = Functions(tf.constant([True, False]), tf.constant([[2.0, np.pi / 2], [3.0, -1.0]]))
    x = tf.constant([[[0.0], [np.pi]], [[0.0], [2.0]]])
    np.testing.assert_allclose(functions(x)[..., 0], [[-2.0, 2.0], [-1.0, 5.0]], atol=1e-6)


def assert_equal_episodes(actual, expected):
    """Inputs are equal; targets to rounding, as TensorFlow computes the sine of a batch's last numbers differently."""
    for index, (ours, theirs) in enumerate(zip(actual, expected, strict=True)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 if index % 2 else 0)


@pytest.mark.parametrize("start", [0, 1_200_000, 2**33])
def test_a_slice_of_tasks_equals_the_whole(start):
    sampler = RegressionSampler(2, 3)
    whole, functions = sampler.sample(5, start, 9), sampler.functions(5, start, 9)
    for first, number in [(0, 4), (4, 5), (8, 1)]:
        assert_equal_episodes(sampler.sample(5, start + first, number), [p[first : first + number] for p in whole])
        for part, expected in zip(sampler.functions(5, start + first, number), functions, strict=True):
            np.testing.assert_array_equal(part, expected[first : first + number])
    in_graph = tf.function(lambda first: sampler.sample(5, first, 5))(tf.constant(start + 4, tf.int64))
    assert_equal_episodes(in_graph, [part[4:] for part in whole])


def test_an_int_is_the_seed_of_the_stream_of_episodes():
    sampler = RegressionSampler()
    for ours, expected in zip(sampler.sample(5, 3, 4), sampler.sample(stream_seed(5, EPISODES), 3, 4), strict=True):
        np.testing.assert_array_equal(ours, expected)
    np.testing.assert_array_equal(
        sampler.functions(tf.constant(5), 3, 4).coefficients,
        sampler.functions(stream_seed(5, EPISODES), 3, 4).coefficients,
    )


def test_other_seeds_and_streams_give_other_tasks():
    sampler = RegressionSampler(1, 1)
    pairs = [(0, EPISODES), (1, EPISODES), (2**40, EPISODES), (0, VALIDATION), (0, TEST), (1, TEST)]
    episodes = [sampler.sample(stream_seed(*pair), 0, 6) for pair in pairs]
    for field in range(4):
        drawn = np.concatenate([episode[field].numpy().ravel() for episode in episodes])
        assert len(np.unique(drawn)) == len(drawn)


@pytest.mark.parametrize("arguments", [(0, 1, 0.3), (1, 0, 0.3), (1, 1, -0.1), (1, 1, np.nan), (1, 1, np.inf)])
def test_invalid_arguments_are_refused(arguments):
    with pytest.raises(InputError, match=r"Got shots=\d, queries=\d, noise_stddev=.*; expected at least one point"):
        RegressionSampler(*arguments)


def test_uniform_numbers_from_integers():
    """The highest 24 bits, in order, from 0 to one step below 1; nothing is rounded up to 1."""
    ends = tf.constant([-(2**31), -(2**31) + 255, -(2**31) + 256, -1, 0, 2**31 - 1], tf.int32)
    np.testing.assert_array_equal(randomness.uniform(ends), np.array([0, 0, 1, 2**23 - 1, 2**23, 2**24 - 1]) / 2**24)
    sample = randomness.uniform(randomness.integers(stream_seed(3, TEST), 0, 1000, 20)).numpy()
    assert sample.dtype == np.float32
    assert p_uniform(sample.ravel(), 0, 1) > LEAST_P
    low_bits = np.uint32(sample * 2**24) % 256
    assert stats.chisquare(np.bincount(low_bits.ravel(), minlength=256)).pvalue > LEAST_P
