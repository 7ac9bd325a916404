"""The inference model f_theta: a ReLU perceptron whose parameters, of every task its own, are one vector."""

import itertools
import math

import tensorflow as tf

_BIAS_SPREAD = 0.1


def parameter_shapes(units):
    """Return the shapes of kernels and biases in their order in the vector: kernel, bias, kernel, bias, ...

    Args:
      units: sizes of the layers, input and output included: (1, 40, 40, 1).
    """
    return [shape for rows, columns in itertools.pairwise(units) for shape in ((rows, columns), (columns,))]


def num_parameters(units):
    """Return the length of the parameter vector: 1,761 for (1, 40, 40, 1)."""
    return sum(map(math.prod, parameter_shapes(units)))


def apply(parameters, x, units):
    """Evaluate every task's network.

    Args:
      parameters: [tasks, num_parameters].
      x: [tasks, n, units[0]].
      units: as in `parameter_shapes`.

    Returns:
      [tasks, n, units[-1]].
    """
    shapes = parameter_shapes(units)
    parts = tf.split(parameters, [math.prod(shape) for shape in shapes], axis=1)
    for layer in range(0, len(parts), 2):
        kernel, bias = tf.reshape(parts[layer], [-1, *shapes[layer]]), parts[layer + 1][:, tf.newaxis]
        x = (tf.nn.relu(x) if layer else x) @ kernel + bias
    return x


def initial_parameters(seed, units):
    """Draw a network to start from: He-normal kernels, and biases of spread 0.1, so that kinks are not all at 0.

    Args:
      seed: [2] from `randomness.stream_seed`.
      units: as in `parameter_shapes`.

    Returns:
      float32 [num_parameters].
    """
    shapes = parameter_shapes(units)
    spreads = [math.sqrt(2.0 / shape[0]) if len(shape) == 2 else _BIAS_SPREAD for shape in shapes]
    draws = tf.random.stateless_normal([num_parameters(units)], seed)
    return draws * tf.repeat(tf.constant(spreads), [math.prod(shape) for shape in shapes])


def glorot_stddev(units):
    """Return, for every parameter, the standard deviation of a Glorot-initialised network: of a bias, its kernel's.

    Returns:
      List of num_parameters floats.
    """
    sizes = [(math.prod(shape), math.sqrt(2.0 / (rows + columns))) for (rows, columns), shape in _with_kernels(units)]
    return [stddev for size, stddev in sizes for _ in range(size)]


def _with_kernels(units):
    shapes = parameter_shapes(units)
    return [(shapes[index - index % 2], shape) for index, shape in enumerate(shapes)]
