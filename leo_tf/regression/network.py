"""The inference model f_theta: a ReLU perceptron whose parameters are one vector per task."""

import itertools
import math
from collections.abc import Sequence

import tensorflow as tf

_BIAS_STDDEV = 0.1  # of initial biases: at 0, all kinks would be at 0


def parameter_shapes(units: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the shapes of kernel, bias, kernel, bias, ... for the sizes of all layers, such as (1, 40, 40, 1)."""
    return [shape for rows, columns in itertools.pairwise(units) for shape in ((rows, columns), (columns,))]


def num_parameters(units: Sequence[int]) -> int:
    """Return the length of the parameter vector: 1,761 for (1, 40, 40, 1)."""
    return sum(map(math.prod, parameter_shapes(units)))


def apply(parameters: tf.Tensor, x: tf.Tensor, units: Sequence[int]) -> tf.Tensor:
    """Evaluate each task's network, [tasks, num_parameters], at x [tasks, n, units[0]]: [tasks, n, units[-1]]."""
    shapes = parameter_shapes(units)
    parts = tf.split(parameters, [math.prod(shape) for shape in shapes], axis=1)
    for layer in range(0, len(parts), 2):
        kernel, bias = tf.reshape(parts[layer], [-1, *shapes[layer]]), parts[layer + 1][:, tf.newaxis]
        x = (tf.nn.relu(x) if layer else x) @ kernel + bias
    return x


def initial_parameters(seed: tf.Tensor, units: Sequence[int]) -> tf.Tensor:
    """Draw initial parameters, float32 [num_parameters]: He-normal kernels, and biases of standard deviation 0.1."""
    shapes = parameter_shapes(units)
    stddevs = [math.sqrt(2.0 / shape[0]) if len(shape) == 2 else _BIAS_STDDEV for shape in shapes]
    draws = tf.random.stateless_normal([num_parameters(units)], seed)
    return draws * tf.repeat(tf.constant(stddevs), [math.prod(shape) for shape in shapes])


def glorot_stddev(units: Sequence[int]) -> list[float]:
    """Return the standard deviation of each parameter of a Glorot-initialised network; a bias has its kernel's."""
    stddevs = []
    for rows, columns in itertools.pairwise(units):
        stddevs += [math.sqrt(2.0 / (rows + columns))] * ((rows + 1) * columns)
    return stddevs
