"""A regression learner and fixed tasks to analyse, and the influence of single support points."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf.analysis_target import AnalysisTarget, Spectra, Support
from leo_tf.learners.meta_learner import Trace
from leo_tf.regression import network
from leo_tf.regression.learner import RegressionLearner
from leo_tf.regression.tasks import RegressionTasks, grid

_TASKS_AT_ONCE = 200
_WHOLE_HESSIANS = 8  # tasks per batch whose Hessian in the parameters, of 1,761 rows, is decomposed


class RegressionTarget(AnalysisTarget):
    """See AnalysisTarget; queries are the true function on the grid, supports have `shots` points."""

    measures = MappingProxyType(
        {"mse": "squared error of the function", "support_loss": "squared error of the support"}
    )

    def __init__(self, learner: RegressionLearner, tasks: RegressionTasks, shots: int) -> None:
        super().__init__(learner, tasks)
        self.shots = shots

    @property
    def labels(self) -> Mapping[str, np.ndarray]:
        return {"family": np.where(self.tasks.is_sinusoid, "sinusoid", "line")}

    @property
    def values(self) -> Mapping[str, np.ndarray]:
        x, is_sinusoid = grid(), self.tasks.is_sinusoid
        sinusoids, lines = (
            np.linalg.lstsq(np.stack(basis, axis=1), self.tasks.truth.T, rcond=None)[0]
            for basis in ((np.sin(x), np.cos(x)), (np.ones_like(x), x))
        )
        return {
            "amplitude": np.where(is_sinusoid, np.hypot(*sinusoids), np.nan),
            "slope": np.where(is_sinusoid, np.nan, lines[1]),
        }

    def supports(self) -> Iterator[Support]:
        for first in range(0, len(self.tasks), _TASKS_AT_ONCE):
            some = self.tasks.take(slice(first, first + _TASKS_AT_ONCE))
            x, y = some.support(self.shots)
            yield tf.constant(x), tf.constant(y)

    def spectra(self, support: Support, trace: Trace, adapted: bool) -> Spectra:
        x, y = (tf.cast(values[:_WHOLE_HESSIANS], tf.float64) for values in support)
        parameters = tf.cast(trace.parameters[-1 if adapted else 0][:_WHOLE_HESSIANS], tf.float64)

        def loss(values: tf.Tensor) -> tf.Tensor:
            errors = tf.math.squared_difference(network.apply(values, x, self.learner.units), y)
            return tf.reduce_sum(tf.reduce_mean(errors, axis=[1, 2]))

        of_parameters = np.stack([np.linalg.eigvalsh(each) for each in hessians(loss, parameters).numpy()])
        if not self.learner.has_latents:
            return Spectra(None, of_parameters)
        inner = self.learner.support_loss(*support)
        codes = tf.convert_to_tensor(trace.latents)[-1 if adapted else 0]
        of_codes = hessians(lambda latents: inner(self.learner.decoder.mean(latents), 0), codes)
        return Spectra(np.linalg.eigvalsh(of_codes.numpy()), of_parameters)

    def singular_values(self, trace: Trace) -> np.ndarray:
        codes = tf.convert_to_tensor(trace.latents)[0]
        columns = []
        for direction in tf.eye(codes.shape[1]):
            with tf.autodiff.ForwardAccumulator(codes, tf.broadcast_to(direction, codes.shape)) as accumulator:
                decoded = self.learner.decoder.mean(codes)
            columns.append(accumulator.jvp(decoded).numpy())
        return np.linalg.svd(np.stack(columns, axis=2), compute_uv=False)

    def scores(self) -> Mapping[str, np.ndarray]:
        errors, losses = [], []
        for batch, (support_x, support_y) in enumerate(self.supports()):
            parameters = self.learner.trace(support_x, support_y).parameters
            truth = self.tasks.truth[batch * _TASKS_AT_ONCE :][: len(support_x)]
            values = np.stack([self.functions(each) for each in parameters])
            errors.append(np.mean((values - truth) ** 2, axis=2))
            fitted = np.stack([self.learner.predict_at(support_x, each).numpy() for each in parameters])
            losses.append(np.mean((fitted - support_y.numpy()) ** 2, axis=(2, 3)))
        return {"mse": np.concatenate(errors, axis=1), "support_loss": np.concatenate(losses, axis=1)}

    def functions(self, parameters: tf.Tensor) -> np.ndarray:
        """Return the values on the grid, [tasks, 100], of networks with parameters [tasks, num_parameters]."""
        x = grid()
        inputs = tf.broadcast_to(tf.constant(x[:, np.newaxis], tf.float32), [len(parameters), len(x), 1])
        return self.learner.predict_at(inputs, parameters).numpy()[..., 0]

    def adapted_functions(self, points: list[int] | None = None) -> np.ndarray:
        """Return the functions on the grid, [tasks, 100], after adaptation to all support points or to those given."""
        points = list(range(self.shots)) if points is None else points
        return np.concatenate(
            [
                self.functions(self.learner.adapt_in_evaluation(*(tf.gather(each, points, axis=1) for each in support)))
                for support in self.supports()
            ]
        )


def hessians(loss: Callable[[tf.Tensor], tf.Tensor], values: tf.Tensor) -> tf.Tensor:
    """Return each task's Hessian [tasks, n, n] of a loss that is a sum over tasks, at values [tasks, n]."""
    with tf.GradientTape() as outer:
        outer.watch(values)
        with tf.GradientTape() as inner:
            inner.watch(values)
            total = loss(values)
        gradient = inner.gradient(total, values)
    return outer.batch_jacobian(gradient, values)


class Influence(NamedTuple):
    """Changes without each support point, [tasks, shots]."""

    moved: np.ndarray  # root mean square change of the function on the grid
    lost: np.ndarray  # squared error without the point less that with it; negative where the point does harm


def leave_one_out(target: RegressionTarget) -> Influence:
    """Adapt to a target's tasks of 2 points or more, leaving out each support point in turn."""
    whole, truth = target.adapted_functions(), target.tasks.truth
    moved, lost = [], []
    for left_out in range(target.shots):
        functions = target.adapted_functions([point for point in range(target.shots) if point != left_out])
        moved.append(np.sqrt(np.mean((functions - whole) ** 2, axis=1)))
        lost.append(np.mean((functions - truth) ** 2, axis=1) - np.mean((whole - truth) ** 2, axis=1))
    return Influence(np.stack(moved, axis=1), np.stack(lost, axis=1))
