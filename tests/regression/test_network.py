"""Networks from parameter vectors, task by task, against NumPy."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import randomness
from leo_tf.regression import network

UNITS = (1, 4, 3, 1)


def forward(vector, x, units):
    """NumPy: x [n, units[0]] through the network that the vector holds as kernel, bias, kernel, bias, ..."""
    place = 0
    for layer, (rows, columns) in enumerate(itertools.pairwise(units)):
        kernel = vector[place : place + rows * columns].reshape(rows, columns)
        bias = vector[place + rows * columns : place + rows * columns + columns]
        place += (rows + 1) * columns
        x = np.maximum(x, 0) if layer else x
        x = np.stack([sum(x[:, i] * kernel[i, j] for i in range(rows)) + bias[j] for j in range(columns)], axis=1)
    assert place == len(vector)
    return x


def test_the_papers_network_has_1761_parameters():
    assert network.num_parameters((1, 40, 40, 1)) == 1761
    assert network.parameter_shapes((1, 40, 40, 1)) == [(1, 40), (40,), (40, 40), (40,), (40, 1), (1,)]


@pytest.mark.parametrize("units", [UNITS, (1, 1), (1, 5, 1), (2, 4, 3)])
def test_each_task_has_its_own_network(units):
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=(5, network.num_parameters(units)))
    x = rng.uniform(-5, 5, size=(5, 7, units[0]))
    found = network.apply(tf.constant(parameters), tf.constant(x), units)
    assert found.shape == (5, 7, units[-1])
    for task in range(5):
        np.testing.assert_allclose(found[task], forward(parameters[task], x[task], units), rtol=1e-12)


def test_absolute_value_from_two_hidden_units():
    """|x| - 1 from the hidden units x and -x."""
    vector = tf.constant([[1.0, -1.0, 0.0, 0.0, 1.0, 1.0, -1.0]])
    x = tf.constant([[[-3.0], [0.0], [2.0]]])
    np.testing.assert_array_equal(network.apply(vector, x, (1, 2, 1)), [[[2.0], [-1.0], [1.0]]])


def test_glorot_stddev_of_a_kernel_is_that_of_its_bias_too():
    spreads = [(4, 1 + 4), (4, 1 + 4), (12, 4 + 3), (3, 4 + 3), (3, 3 + 1), (1, 3 + 1)]  # sizes and fans
    expected = np.concatenate([np.full(size, np.sqrt(2 / fans)) for size, fans in spreads])
    np.testing.assert_allclose(network.glorot_stddev(UNITS), expected, rtol=1e-12)


def test_initial_parameters_have_their_stddevs_and_repeat():
    units = (1, 40, 40, 1)
    seeds = [randomness.stream_seed(seed, randomness.INITIAL_NETWORK) for seed in range(60)]
    draws = np.stack([network.initial_parameters(seed, units) for seed in seeds])
    assert draws.dtype == np.float32 and draws.shape == (60, 1761)
    np.testing.assert_array_equal(draws[3], network.initial_parameters(seeds[3], units))
    assert len(np.unique(draws[:, 0])) == 60
    place = 0
    for shape, spread in zip(
        network.parameter_shapes(units), [2**0.5, 0.1, 0.05**0.5, 0.1, 0.05**0.5, 0.1], strict=True
    ):
        part = draws[:, place : place + np.prod(shape)]
        place += np.prod(shape)
        assert part.std() == pytest.approx(spread, rel=4 / np.sqrt(2 * part.size))
        assert abs(part.mean()) < 4 * spread / np.sqrt(part.size)
