"""The exact posterior under the known distribution of tasks, which is the best possible answer.

Both families are linear in two weights, w_1 f_1(x) + w_2 f_2(x), and linear in one coefficient once the other is given:
a line in its intercept, a sinusoid in its amplitude. With normal noise that coefficient is a truncated normal number,
integrated in closed form; only the other one, slope or phase, is swept by numerical integration, in one dimension.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from leo_tf.errors import InputError
from leo_tf.regression.baselines.truncated_normal import TruncatedNormal, truncated_normal
from leo_tf.regression.episodes import AMPLITUDE, INTERCEPT, PHASE, SLOPE

# Gauss-Legendre nodes per panel, and its length in standard deviations of the sharpest possible posterior: doubling the
# nodes changes no result by 1e-7, and the cells of `sample` are narrow.
_NODES, _PANEL = 16, 3.0
_CELLS_AT_ONCE = 2**18  # tasks x nodes


class _Family(NamedTuple):
    """Functions with weights `offset` + linear coefficient * `direction`, which depend on the swept coefficient."""

    swept: tuple[float, float]
    linear: tuple[float, float]
    features: Callable  # of x, two
    offset: Callable
    direction: Callable
    slopes: Callable  # of x: the largest derivative of a function's value by the swept coefficient

    def weights(self, swept: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """Return the two weights, [..., 2]."""
        parts = zip(self.offset(swept), self.direction(swept), strict=True)
        return np.stack([offset + direction * linear for offset, direction in parts], axis=-1)

    def values(self, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the functions' values [tasks, n] at x [n] or [tasks, n]."""
        first, second = self.features(x)
        return weights[:, :1] * first + weights[:, 1:] * second


_LINE = _Family(
    swept=SLOPE,
    linear=INTERCEPT,
    features=lambda x: (x, np.ones_like(x)),
    offset=lambda slope: (slope, 0.0),
    direction=lambda slope: (0.0, 1.0),
    slopes=np.abs,
)
_SINUSOID = _Family(
    swept=PHASE,
    linear=AMPLITUDE,
    features=lambda x: (np.sin(x), -np.cos(x)),  # A sin(x - phase) = A cos(phase) sin(x) - A sin(phase) cos(x)
    offset=lambda phase: (0.0, 0.0),
    direction=lambda phase: (np.cos(phase), np.sin(phase)),
    slopes=lambda x: np.full_like(x, AMPLITUDE[1]),
)


class _Statistics(NamedTuple):
    """Sums over a task's points of products of the features and the target, divided by the noise's variance."""

    first_first: np.ndarray  # [tasks], as are all others
    first_second: np.ndarray
    second_second: np.ndarray
    first_y: np.ndarray
    second_y: np.ndarray

    def given(self, family: _Family, swept: np.ndarray) -> tuple[TruncatedNormal, np.ndarray]:
        """Return the linear coefficient's TruncatedNormal given the swept one, and the log of their joint integral."""
        (o1, o2), (d1, d2) = family.offset(swept), family.direction(swept)
        rest1 = self.first_y - self.first_first * o1 - self.first_second * o2
        rest2 = self.second_y - self.first_second * o1 - self.second_second * o2
        precision = self.first_first * d1**2 + 2 * self.first_second * d1 * d2 + self.second_second * d2**2
        normal = truncated_normal(precision, rest1 * d1 + rest2 * d2, *family.linear)
        of_offset = 0.5 * (o1 * (rest1 + self.first_y) + o2 * (rest2 + self.second_y))
        return normal, of_offset + normal.log_integral()

    def rows(self, part: Any) -> "_Statistics":
        """Return the statistics of some of the tasks."""
        return _Statistics(*(each[part] for each in self))


@dataclasses.dataclass(frozen=True)
class _FamilyPosterior:
    family: _Family
    statistics: _Statistics
    nodes: np.ndarray  # [nodes] of the swept coefficient
    widths: np.ndarray  # [nodes], weights of the quadrature
    log_evidence: np.ndarray  # [tasks], up to a constant that the families share
    weights: np.ndarray  # [tasks, 2], posterior mean

    def draw(self, swept: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """Turn uniform numbers, [samples, tasks] each, into weights [samples, tasks, 2]."""
        drawn = [self._draw(part, swept[:, part], linear[:, part]) for part in _parts(swept.shape[1], len(self.nodes))]
        return np.concatenate(drawn, axis=1)

    def _draw(self, part: slice, swept: np.ndarray, linear: np.ndarray) -> np.ndarray:
        statistics = self.statistics.rows(part)
        _, log_joint = statistics.rows((slice(None), np.newaxis)).given(self.family, self.nodes)
        _, shares = _normalise(log_joint, self.widths)
        ends = np.cumsum(shares, axis=1)
        # One search for all tasks: the distribution function of task t runs from t to t + 1.
        task, last = np.arange(len(ends)), len(self.nodes) - 1
        cell = np.searchsorted((ends + task[:, np.newaxis]).ravel(), swept + task, side="right") - task * (last + 1)
        cell = np.clip(cell, 0, last)
        left = (ends[task, cell] - swept) / np.maximum(shares[task, cell], np.finfo(np.float64).tiny)
        # The quadrature's weights, laid end to end, are cells that hold one node each (Chebyshev, Markov, Stieltjes).
        coefficient = self.family.swept[0] + np.cumsum(self.widths)[cell] - self.widths[cell] * np.clip(left, 0, 1)
        normal, _ = statistics.given(self.family, coefficient)
        return self.family.weights(coefficient, normal.quantile(linear))


@dataclasses.dataclass(frozen=True)
class Posterior:
    """The distribution of every task's function given its support, from `exact_posterior`."""

    sinusoid_probability: np.ndarray  # [tasks]
    line: _FamilyPosterior
    sinusoid: _FamilyPosterior

    def mean(self, x: Any) -> np.ndarray:
        """Return the posterior mean function [tasks, n], which has the smallest possible expected squared error.

        x: [n], or [tasks, n] if every task has its own points.
        """
        x, probability = np.asarray(x, np.float64), self.sinusoid_probability[:, np.newaxis]
        line, sinusoid = (each.family.values(each.weights, x) for each in (self.line, self.sinusoid))
        return (1 - probability) * line + probability * sinusoid

    def sample(self, x: Any, samples: int, seed: Any) -> np.ndarray:
        """Draw functions [samples, tasks, n] at x, as in `mean`, from the posterior; seed: int or NumPy Generator.

        The swept coefficient is drawn from a density that is constant in cells of less than 0.3 standard deviations,
        which widens it by at most 0.4 %; the rest is exact.
        """
        x, tasks = np.asarray(x, np.float64), len(self.sinusoid_probability)
        uniform, swept, linear = np.random.default_rng(seed).random((3, samples, tasks))
        is_sinusoid = (uniform < self.sinusoid_probability)[..., np.newaxis]
        drawn = [(each.family, each.draw(swept, linear)) for each in (self.line, self.sinusoid)]
        values = np.empty((samples, tasks, x.shape[-1]))
        for index in range(samples):  # one at a time, for memory
            line, sinusoid = (family.values(weights[index], x) for family, weights in drawn)
            values[index] = np.where(is_sinusoid[index], sinusoid, line)
        return values


def exact_posterior(support_x: Any, support_y: Any, noise_stddev: float = 0.3) -> Posterior:
    """Integrate the posterior of every task under the distribution of `RegressionSampler`.

    The support is [tasks, shots, 1], with noise of a standard deviation above 0; no shots give the prior. It takes a
    second for 2,000 tasks of 20 shots on one core; time grows as the root of shots and as 1 / noise_stddev.

    References:
      Paper section 4.1, with the ranges of `leo_tf.regression.episodes`.
    """
    x, y = checked_support(support_x, support_y, noise_stddev)
    line, sinusoid = (_posterior(family, x[..., 0], y[..., 0], noise_stddev) for family in (_LINE, _SINUSOID))
    return Posterior(special.expit(sinusoid.log_evidence - line.log_evidence), line, sinusoid)


def checked_support(support_x: Any, support_y: Any, noise_stddev: float) -> tuple[np.ndarray, np.ndarray]:
    """Return support points in float64; raise InputError unless they and the noise are of use."""
    x, y = (np.asarray(values, np.float64) for values in (support_x, support_y))
    if x.ndim != 3 or x.shape[2] != 1 or x.shape != y.shape or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError(
            f"Got support_x {list(x.shape)} and support_y {list(y.shape)}; expected finite numbers of the same shape "
            "[tasks, shots, 1]."
        )
    if not 0 < noise_stddev < math.inf:
        raise InputError(f"Got noise_stddev={noise_stddev!r}; expected a number above 0, a small one for no noise.")
    return x, y


def _posterior(family: _Family, x: np.ndarray, y: np.ndarray, noise_stddev: float) -> _FamilyPosterior:
    first, second = family.features(x)
    products = (first * first, first * second, second * second, first * y, second * y)
    statistics = _Statistics(*(product.sum(axis=1) / noise_stddev**2 for product in products))
    sharpest = noise_stddev / max(np.sqrt(np.sum(family.slopes(x) ** 2, axis=1)).max(initial=0), 1e-9)
    low, high = family.swept
    nodes, widths = _quadrature(low, high, panels=math.ceil((high - low) / (_PANEL * sharpest)))
    evidences, weights = [], []
    for part in _parts(len(x), len(nodes)):
        normal, log_joint = statistics.rows((part, np.newaxis)).given(family, nodes)
        log_evidence, shares = _normalise(log_joint, widths)
        evidences.append(log_evidence)
        weights.append(np.einsum("tn,tnw->tw", shares, family.weights(nodes, normal.mean())))
    log_area = math.log((high - low) * np.ptp(family.linear))
    return _FamilyPosterior(
        family, statistics, nodes, widths, np.concatenate(evidences) - log_area, np.concatenate(weights)
    )


def _quadrature(low: float, high: float, panels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of the Gauss-Legendre rule on each of equal panels, [nodes] in rising order."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    edges = np.linspace(low, high, panels + 1)
    half = (high - low) / (2 * panels)
    return ((edges[:-1] + half)[:, np.newaxis] + half * nodes).ravel(), np.tile(half * weights, panels)


def _normalise(log_joint: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log of the integral [tasks] and the share of every node in it [tasks, nodes]."""
    log_shares = log_joint + np.log(widths)
    log_evidence = special.logsumexp(log_shares, axis=1)
    return log_evidence, np.exp(log_shares - log_evidence[:, np.newaxis])


def _parts(tasks: int, nodes: int) -> list[slice]:
    """Return slices of the tasks, at least one, that limit memory."""
    step = max(1, _CELLS_AT_ONCE // nodes)
    return [slice(first, first + step) for first in range(0, max(tasks, 1), step)]
