"""Evaluation of the exact posterior and of Gaussian processes on the tasks of a model."""

from collections.abc import Sequence
from typing import Any

from leo_tf import randomness
from leo_tf.regression.baselines.posterior import exact_posterior
from leo_tf.regression.episodes import RegressionSampler
from leo_tf.regression.results import RegressionResult, score_functions
from leo_tf.regression.tasks import MOST_SHOTS, SHOTS, RegressionTasks, grid

_KERNEL_TASKS = 300  # training tasks that the shared kernel is fitted to


def evaluate_posterior(
    tasks: RegressionTasks, shots: Sequence[int] = SHOTS, num_samples: int = 100, noise_stddev: float = 0.3
) -> RegressionResult:
    """Evaluate the exact posterior, which has the least possible mean squared error and the true uncertainty."""

    def functions(support_x: Any, support_y: Any, _: int) -> Any:  # all tasks at once: they share one random stream
        found = exact_posterior(support_x, support_y, noise_stddev)
        return found.mean(grid()), found.sample(grid(), num_samples, seed=0)

    return score_functions(functions, tasks, shots, "exact posterior")


def evaluate_gaussian_process(
    tasks: RegressionTasks, shots: Sequence[int], num_samples: int, noise_stddev: float, shared: bool
) -> RegressionResult:
    """Evaluate Gaussian processes with one shared kernel, fitted to 300 training tasks, or with one for each task."""
    from leo_tf.regression.baselines.gaussian_process import fit_kernel, gaussian_process

    kernel = None
    if shared:
        pair = randomness.stream_seed(0, randomness.EPISODES)
        drawn = RegressionSampler(MOST_SHOTS, 1, noise_stddev).sample(pair, 0, _KERNEL_TASKS)
        kernel = fit_kernel(drawn.support_x.numpy(), drawn.support_y.numpy(), noise_stddev)

    def functions(support_x: Any, support_y: Any, _: int) -> Any:
        found = gaussian_process(support_x, support_y, grid(), noise_stddev, kernel)
        return found.mean, found.sample(num_samples, seed=0)

    name = f"Gaussian process, {'shared kernel' if shared else 'kernel per task'}"
    return score_functions(functions, tasks, shots, name)
