"""Fixed regression tasks to evaluate on, drawn from a seed, and the family that a function is closest to."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.errors import InputError
from leo_tf.regression.episodes import INPUT, RegressionSampler

MOST_SHOTS = 20
SHOTS = (1, 2, 3, 5, 10, 20)  # of an evaluation, by default
POINTS = 100


def grid() -> np.ndarray:
    """Return the inputs at which functions are compared: midpoints of 100 equal parts of the range, [100] float64."""
    return INPUT[0] + (INPUT[1] - INPUT[0]) * (np.arange(POINTS) + 0.5) / POINTS


@dataclasses.dataclass(frozen=True, eq=False)
class RegressionTasks:
    """Fixed tasks. The k-shot task has the first k support points, so that numbers of shots differ in nothing else."""

    support_x: np.ndarray  # [tasks, 20, 1] float32
    support_y: np.ndarray  # [tasks, 20, 1] float32, with noise
    truth: np.ndarray  # [tasks, 100], the function on the grid, without noise
    is_sinusoid: np.ndarray  # [tasks] bool

    def __len__(self) -> int:
        return len(self.truth)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the support points; equal for equal tasks."""
        digest = hashlib.sha256()
        for values in (self.support_x, self.support_y):
            digest.update(np.ascontiguousarray(values, "<f4").data)
        return digest.hexdigest()

    @property
    def identity(self) -> dict[str, Any]:
        """Facts that distinguish these tasks from others."""
        return {"num_tasks": len(self), "tasks_digest": self.digest}

    def support(self, shots: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the k-shot support, (x, y), each [tasks, shots, 1]."""
        return self.support_x[:, :shots], self.support_y[:, :shots]

    def take(self, indices: Any) -> "RegressionTasks":
        """Return the tasks at `indices`, a slice or an array."""
        return RegressionTasks(*(getattr(self, field.name)[indices] for field in dataclasses.fields(self)))


def join(parts: Sequence[RegressionTasks]) -> RegressionTasks:
    """Return the tasks of several RegressionTasks, one after another."""
    names = [field.name for field in dataclasses.fields(RegressionTasks)]
    return RegressionTasks(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def draw_tasks(
    num_tasks: int, seed: int = 0, stream: int = randomness.TEST, noise_stddev: float = 0.3
) -> RegressionTasks:
    """Draw tasks, 2 or more, from a seed and one of `randomness`' streams; fewer are the first of a larger number."""
    if num_tasks < 2:
        raise InputError(f"Got {num_tasks} tasks; an interval needs at least 2.", "num_tasks")
    sampler, pair = RegressionSampler(MOST_SHOTS, 1, noise_stddev), randomness.stream_seed(seed, stream)
    episode, functions = sampler.sample(pair, 0, num_tasks), sampler.functions(pair, 0, num_tasks)
    truth = functions(tf.constant(grid()[np.newaxis, :, np.newaxis], tf.float32))
    arrays = episode.support_x, episode.support_y, truth[..., 0], functions.is_sinusoid
    return RegressionTasks(*(values.numpy() for values in arrays))


def looks_sinusoid(values: Any, x: Any) -> np.ndarray:
    """Return, bool [...], which functions [..., n] at x [n] are closer to a sinusoid than to a line.

    A function belongs to the family whose closest member fits it better in least squares: a + b x, or
    a sin(x) + b cos(x), which is any amplitude and phase. Both have two coefficients.
    """
    x = np.asarray(x, np.float64)
    line, sinusoid = (_residual(values, features) for features in ((np.ones_like(x), x), (np.sin(x), np.cos(x))))
    return sinusoid < line


def _residual(values: Any, features: Sequence[np.ndarray]) -> np.ndarray:
    """Return the squared distance of functions [..., n] from the span of features, [...]."""
    basis, _ = np.linalg.qr(np.stack(features, axis=1))
    values = np.asarray(values, np.float64)
    return np.sum(values**2, axis=-1) - np.sum((values @ basis) ** 2, axis=-1)
