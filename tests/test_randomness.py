"""randomness: any slice of tasks alone gives the same numbers, and the numbers have the right distribution."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from leo_tf import randomness
from leo_tf.randomness import EPISODES, NOISE, bits, integers, keep_mask, keep_probability, normal, stream_seed

SEED = stream_seed(3, NOISE)
ALL_16_BITS = tf.cast(tf.range(65536), tf.uint16)
ALL_8_BITS = tf.cast(tf.range(256), tf.uint8)


def bits8(*arguments):
    return bits(*arguments, tf.uint8)


def bits16(*arguments):
    return bits(*arguments, tf.uint16)


@pytest.mark.parametrize("draw", [integers, bits8, bits16])
@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("start", [0, 1_200_000, 2**31 + 5])
def test_a_slice_of_tasks_equals_the_whole_draw(draw, count, start):
    whole = draw(SEED, start, 9, count).numpy()
    assert whole.shape == (9, count)
    for first, number in [(0, 4), (4, 5), (8, 1)]:
        np.testing.assert_array_equal(draw(SEED, start + first, number, count), whole[first : first + number])
    in_graph = tf.function(lambda first: draw(SEED, first, 5, count))(tf.constant(start + 4, tf.int64))
    np.testing.assert_array_equal(in_graph, whole[4:])


@pytest.mark.parametrize("count", [1, 3, 4, 5, 7, 8, 13])
def test_tasks_share_no_words(count):
    """Of a thousand 32-bit words about 0.0001 pairs coincide by chance; a shared counter would repeat many."""
    words = integers(SEED, 0, 1000 // count, count).numpy().ravel()
    assert len(np.unique(words)) == len(words)
    # Neither do the parts that `bits` makes of them: correlation of a task's numbers with the next task's.
    for draw in (bits8, bits16):
        parts = draw(SEED, 0, 4000, count).numpy().astype(float)
        for lag in (1, 2):
            correlation = np.corrcoef(parts[:-lag].ravel(), parts[lag:].ravel())[0, 1]
            assert abs(correlation) < 4.5 / np.sqrt(parts[lag:].size)


def test_every_position_is_random():
    """No position of a task repeats over tasks, and no two positions of a task are equal more often than by chance."""
    draws = bits16(SEED, 0, 3000, 6).numpy()
    for i in range(6):
        assert len(np.unique(draws[:, i])) > 2800  # 2933 expected of 3000 draws of 65,536
        for j in range(i):
            assert np.sum(draws[:, i] == draws[:, j]) <= 3  # 0.05 expected


def test_seeds_streams_and_tasks_differ():
    pairs = [(seed, stream) for seed in (0, 1, 2, 3, 2**31, 2**32, 2**40) for stream in range(5)]
    draws = np.concatenate([integers(stream_seed(*pair), 0, 3, 4).numpy().ravel() for pair in pairs])
    assert len(np.unique(draws)) == len(draws)


def test_stream_seed():
    np.testing.assert_array_equal(stream_seed(2**40, EPISODES), [2**40, EPISODES])
    np.testing.assert_array_equal(stream_seed(tf.constant(5), NOISE), [5, NOISE])
    assert len({EPISODES, NOISE, randomness.VALIDATION, randomness.TEST, randomness.INITIAL_WEIGHTS}) == 5


def test_integers_are_uniform():
    values = integers(SEED, 0, 500, 401).numpy().ravel().astype(float) / 2**32 + 0.5
    assert stats.kstest(values, "uniform").pvalue > 1e-3


def test_bits_are_uniform():
    assert stats.chisquare(np.bincount(bits8(SEED, 0, 500, 401).numpy().ravel(), minlength=256)).pvalue > 1e-3
    values = bits16(SEED, 0, 500, 401).numpy().ravel()
    assert stats.chisquare(np.bincount(values // 256, minlength=256)).pvalue > 1e-3
    assert stats.chisquare(np.bincount(values % 256, minlength=256)).pvalue > 1e-3


def test_the_two_sizes_of_bits_are_independent():
    small, large = (draw(SEED, 0, 500, 400).numpy().astype(float).ravel() for draw in (bits8, bits16))
    for parts in (large // 256, large % 256):
        assert abs(np.corrcoef(small, parts)[0, 1]) < 4.5 / np.sqrt(small.size)


def test_normal_is_the_standard_quantiles():
    values = normal(ALL_16_BITS, tf.float64).numpy()
    assert abs(values.mean()) < 1e-12
    assert values.std() == pytest.approx(1, abs=1e-12)
    assert np.all(np.diff(values) > 0)
    assert values.max() == pytest.approx(stats.norm.isf(0.5 / 65536), rel=1e-4)
    np.testing.assert_allclose(values, stats.norm.ppf((np.arange(65536) + 0.5) / 65536), rtol=1e-4)
    assert stats.kurtosis(values) == pytest.approx(0, abs=5e-3)


def test_normal_distribution_function_is_nowhere_far_off():
    values = normal(ALL_16_BITS, tf.float64).numpy()
    below, up_to = np.arange(65536) / 65536, np.arange(1, 65537) / 65536
    exact = stats.norm.cdf(values)
    assert max(np.abs(exact - below).max(), np.abs(exact - up_to).max()) < 2**-16


def test_normal_draws_pass_a_test():
    values = normal(bits16(SEED, 0, 400, 501), tf.float64).numpy().ravel()
    assert stats.kstest(values, "norm").pvalue > 1e-3
    assert abs(values.mean()) < 4 / np.sqrt(values.size)
    assert abs(values.var() - 1) < 4 * np.sqrt(2 / values.size)


@pytest.mark.parametrize("rate", [0.001, 0.25, 0.307651, 0.5, 0.999])
def test_keep_mask(rate):
    probability = keep_probability(rate)
    assert abs(probability - (1 - rate)) <= (1 / 512 if 1 / 512 < rate < 1 - 1 / 512 else 1 / 256)
    assert np.mean(keep_mask(ALL_8_BITS, rate)) == probability
    kept = keep_mask(bits8(SEED, 0, 400, 501), rate).numpy()
    assert abs(kept.mean() - probability) < 4 * np.sqrt(probability * (1 - probability) / kept.size)
