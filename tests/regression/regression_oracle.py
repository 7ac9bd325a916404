"""NumPy, one task at a time: LEO and its baselines on regression, as the paper describes them, with gradients by hand.

Written from section 4.1, appendix A and algorithm 1, with loops where the package has batches; nothing of it is used.
"""

import itertools

import numpy as np
from scipy import stats


def shapes(units):
    """Shapes in a parameter vector: kernel, bias, kernel, bias, ..."""
    return [shape for a, b in itertools.pairwise(units) for shape in ((a, b), (b,))]


def split(vector, units):
    """Kernels and biases of a network's parameter vector."""
    parts, place = [], 0
    for shape in shapes(units):
        parts.append(vector[place : place + np.prod(shape)].reshape(shape))
        place += np.prod(shape)
    assert place == len(vector)
    return parts[::2], parts[1::2]


def perceptron(x, kernels, biases):
    """Values of a ReLU perceptron at the rows of x, and what backward() needs."""
    inputs = []
    for layer, kernel in enumerate(kernels):
        x = np.maximum(x, 0) if layer else x
        inputs.append(x)
        x = x @ kernel + (biases[layer] if biases else 0)
    return x, inputs


def backward(upstream, inputs, kernels):
    """Gradients (of x, of the kernels, of the biases) of sum(upstream * values)."""
    of_kernels, of_biases = [], []
    for layer in reversed(range(len(kernels))):
        of_kernels.insert(0, inputs[layer].T @ upstream)
        of_biases.insert(0, upstream.sum(axis=0))
        upstream = upstream @ kernels[layer].T
        if layer:
            upstream = upstream * (inputs[layer] > 0)
    return upstream, of_kernels, of_biases


def predict(vector, x, units):
    """Values [n, 1] of the network that a vector holds, at x [n, 1]."""
    return perceptron(x, *split(vector, units))[0]


def mse(vector, x, y, units):
    return np.mean((predict(vector, x, units) - y) ** 2)


def mse_gradient(vector, x, y, units):
    """Gradient of the mean squared error in the parameter vector."""
    kernels, biases = split(vector, units)
    values, inputs = perceptron(x, kernels, biases)
    _, of_kernels, of_biases = backward(2 * (values - y) / len(x), inputs, kernels)
    pairs = zip(of_kernels, of_biases, strict=True)
    return np.concatenate([part.ravel() for pair in pairs for part in pair])


def limited(gradient, limit):
    """A gradient no longer than `limit`, if that is not 0."""
    norm = np.linalg.norm(gradient)
    return gradient * (limit / norm) if limit and norm > limit else gradient


def descend(vector, x, y, units, rate, steps, limit=0.0):
    for _ in range(steps):
        vector = vector - rate * limited(mse_gradient(vector, x, y, units), limit)
    return vector


def glorot(units):
    fans = [(a, b) for a, b in itertools.pairwise(units) for _ in (0, 1)]
    pairs = zip(shapes(units), fans, strict=True)
    return np.concatenate([np.full(np.prod(shape), np.sqrt(2 / sum(fan))) for shape, fan in pairs])


class LEO:
    """One task's pass with the weights of a RegressionLEO."""

    def __init__(self, model):
        def read(variables):
            return [np.array(v) for v in variables]

        self.encoder = read([*model.encoder.hidden.kernels, model.encoder.kernel]), read(model.encoder.biases)
        self.relation = read(model.encoder.relation.kernels)
        self.relation[2:] = [np.concatenate(self.relation[2:], axis=1)]  # a mixture's further outputs
        self.decoder = read(model.decoder.kernels), read(model.decoder.biases)
        self.latent_rate, self.finetuning_rate = read(model.learning_rates)
        config, regression = model.config, model.regression
        self.steps = config.inner_unroll_length, config.finetuning_unroll_length
        self.limit, self.spread = config.inner_gradient_norm_threshold, regression.weight_spread
        self.latents, self.components = config.num_latents, regression.code_components
        self.units = (1, *[regression.network_units] * (regression.network_layers - 1), 1)

    def _code(self, x, y):
        """The relation network over all ordered pairs of points, averaged."""
        pairs = zip(x[:, 0], y[:, 0], strict=True)
        points = [perceptron(np.array([[a / 5, b / 5]]), *self.encoder)[0][0] for a, b in pairs]
        pairs = [perceptron(np.concatenate([p, q])[None], self.relation, None)[0][0] for p in points for q in points]
        return np.mean(pairs, axis=0)

    def shares(self, x, y):
        """Shares of the components of the code's distribution."""
        logits = self._code(x, y)[2 * self.latents :][: self.components] if self.components > 1 else np.zeros(1)
        return np.exp(logits) / np.exp(logits).sum()

    def encode(self, x, y, component=0):
        """Mean and standard deviation of the code, or of one component of it."""
        code = self._code(x, y)
        size = 2 * self.latents
        if component:
            place = size + self.components + (component - 1) * size
            code = code[:size] + code[place : place + size]
        return code[: self.latents], np.exp(code[self.latents : size])

    def decode(self, z, normals):
        """Parameters, and the function from a gradient in them to one in z."""
        out, inputs = perceptron(z[None], *self.decoder)
        mean, u = np.split(out[0], 2)
        scale = np.zeros_like(u) if normals is None else self.spread * glorot(self.units) * np.exp(u) * normals

        def pull(gradient):
            upstream = np.concatenate([gradient, gradient * scale])[None]
            return backward(upstream, inputs, self.decoder[0])[0][0]

        return mean + scale, pull

    def adapt(self, x, y, normals, component=0):
        """(first code, adapted code, parameters); normals: (of the code, [of each decode]), or None for means."""
        mean, stddev = self.encode(x, y, component)
        initial = z = mean if normals is None else mean + stddev * normals[0]
        for step in range(self.steps[0]):
            theta, pull = self.decode(z, None if normals is None else normals[1][step])
            z = z - self.latent_rate * limited(pull(mse_gradient(theta, x, y, self.units)), self.limit)
        theta, _ = self.decode(z, None if normals is None else normals[1][self.steps[0]])
        theta = descend(theta, x, y, self.units, self.finetuning_rate, self.steps[1], self.limit)
        return initial, z, theta

    def kl(self, x, y, normals, component=0):
        """log q(z) - log p(z) of the sampled code and of its component, over the number of latent dimensions."""
        mean, stddev = self.encode(x, y, component)
        z, share = mean + stddev * normals[0], self.shares(x, y)[component]
        return np.mean(stats.norm.logpdf(z, mean, stddev) - stats.norm.logpdf(z)) + np.log(
            share * self.components
        ) / len(z)
