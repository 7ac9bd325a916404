"""The exact posterior and Gaussian processes, evaluated as models are."""

from leo_tf import randomness
from leo_tf.regression.baselines.posterior import exact_posterior
from leo_tf.regression.episodes import RegressionSampler
from leo_tf.regression.results import score_functions
from leo_tf.regression.tasks import MOST_SHOTS, SHOTS, grid

_KERNEL_TASKS = 300  # training tasks that the shared kernel is fitted to


def evaluate_posterior(tasks, shots=SHOTS, num_samples=100, noise_stddev=0.3):
    """Evaluate the exact posterior: on average the least squared error there can be, and the true uncertainty.

    Args:
      tasks, shots, num_samples: as in `evaluate`.
      noise_stddev: of the support's targets, above 0.

    Returns:
      RegressionResult.
    """

    def functions(support_x, support_y, _):  # all tasks at once, whose draws hang together
        found = exact_posterior(support_x, support_y, noise_stddev)
        return found.mean(grid()), found.sample(grid(), num_samples, seed=0)

    return score_functions(functions, tasks, shots, "exact posterior")


def evaluate_gaussian_process(tasks, shots=SHOTS, num_samples=100, noise_stddev=0.3, shared=True):
    """Evaluate scikit-learn's Gaussian process regression.

    Args:
      tasks, shots, num_samples, noise_stddev: as in `evaluate_posterior`.
      shared: one kernel, fitted to 300 training tasks; otherwise a kernel fitted to every task's support alone.

    Returns:
      RegressionResult.

    Raises:
      InputError: scikit-learn is not installed.
    """
    from leo_tf.regression.baselines.gaussian_process import fit_kernel, gaussian_process

    kernel = None
    if shared:
        pair = randomness.stream_seed(0, randomness.EPISODES)
        drawn = RegressionSampler(MOST_SHOTS, 1, noise_stddev).sample(pair, 0, _KERNEL_TASKS)
        kernel = fit_kernel(drawn.support_x.numpy(), drawn.support_y.numpy(), noise_stddev)

    def functions(support_x, support_y, _):
        found = gaussian_process(support_x, support_y, grid(), noise_stddev, kernel)
        return found.mean, found.sample(num_samples, seed=0)

    return score_functions(
        functions, tasks, shots, f"Gaussian process, {'shared kernel' if shared else 'kernel a task'}"
    )
