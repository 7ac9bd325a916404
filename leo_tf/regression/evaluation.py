"""Evaluate a regression model, the exact posterior and Gaussian processes on the same tasks."""

import time
from typing import NamedTuple

import numpy as np

from leo_tf import randomness
from leo_tf.evaluation.fingerprint import fingerprint
from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.regression import sampling, scoring
from leo_tf.regression.episodes import RegressionSampler
from leo_tf.regression.families import looks_sinusoid
from leo_tf.regression.results import RegressionResult
from leo_tf.regression.tasks import MOST_SHOTS, grid
from leo_tf.regression.yardsticks.posterior import exact_posterior

SHOTS = (1, 2, 3, 5, 10, 20)
_KERNEL_TASKS = 300  # training tasks that the shared kernel is fitted to
_SHARE = 0.1  # of the samples that a family needs to count as shown


def evaluate(model, tasks, shots=SHOTS, num_samples=100, batch_size=200):
    """Evaluate a model.

    Args:
      model: RegressionLearner.
      tasks: FixedTasks.
      shots: numbers of support points, of 1 to 20 each.
      num_samples: functions sampled for each task; models without noise have one.
      batch_size: tasks at once; changes speed and memory only.

    Returns:
      RegressionResult.
    """
    sampler = sampling.FunctionSampler(model, min(batch_size, len(tasks.truth)))

    def functions(support_x, support_y):
        return None, sampler.functions(support_x, support_y, num_samples)

    return _evaluate(functions, tasks, shots, model.algorithm, fingerprint(model))


def evaluate_posterior(tasks, shots=SHOTS, num_samples=100, noise_stddev=0.3):
    """Evaluate the exact posterior: on average the least squared error there can be, and the true uncertainty.

    Args:
      tasks, shots, num_samples: as in `evaluate`.
      noise_stddev: of the support's targets, above 0.

    Returns:
      RegressionResult.
    """

    def functions(support_x, support_y):
        found = exact_posterior(support_x, support_y, noise_stddev)
        return found.mean(grid()), found.sample(grid(), num_samples, seed=0)

    return _evaluate(functions, tasks, shots, "exact posterior", "")


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
    from leo_tf.regression.yardsticks.gaussian_process import fit_kernel, gaussian_process

    kernel = None
    if shared:
        pair = randomness.stream_seed(0, randomness.EPISODES)
        drawn = RegressionSampler(MOST_SHOTS, 1, noise_stddev).sample(pair, 0, _KERNEL_TASKS)
        kernel = fit_kernel(drawn.support_x.numpy(), drawn.support_y.numpy(), noise_stddev)

    def functions(support_x, support_y):
        found = gaussian_process(support_x, support_y, grid(), noise_stddev, kernel)
        return found.mean, found.sample(num_samples, seed=0)

    return _evaluate(functions, tasks, shots, f"Gaussian process, {'shared kernel' if shared else 'kernel a task'}", "")


def _evaluate(functions, tasks, shots, algorithm, model):
    start, found, count = time.perf_counter(), [], 0
    for number in shots:
        mean, samples = functions(*tasks.support(number))
        scores, count = scoring.score(samples, tasks.truth), len(samples)
        if mean is not None:  # exact, where the samples' is not
            scores = scores._replace(squared_error=np.mean((mean - tasks.truth) ** 2, axis=1))
        found.append(scores)
    squared, single, crps, covered = (np.stack(column) for column in zip(*found, strict=True))
    return RegressionResult(
        shots=np.array(shots),
        task_squared_error=squared,
        task_single_error=single,
        task_crps=crps,
        task_coverage=covered,
        is_sinusoid=tasks.is_sinusoid,
        num_samples=count,
        tasks=tasks.digest,
        model=model,
        algorithm=algorithm,
        seconds=time.perf_counter() - start,
    )


class Ambiguity(NamedTuple):
    """What samples of ambiguous tasks look like."""

    num_tasks: int
    sinusoid_probability: float  # of the exact posterior, mean over tasks
    sinusoid_share: Interval  # of the samples that look like sinusoids
    both_families: Interval  # fraction of the tasks with at least 10 % of the samples in either family
    both_families_exact: float  # the same of the exact posterior's samples

    def summary(self):
        """Return a plain dict, for JSON."""
        return {k: v._asdict() if isinstance(v, Interval) else v for k, v in self._asdict().items()}

    def __str__(self):
        return (
            f"ambiguous tasks ({self.num_tasks}; exact posterior {100 * self.sinusoid_probability:.0f} % sinusoid): "
            f"{self.sinusoid_share.percent()} of the samples look like sinusoids; both families, 10 % of the samples "
            f"or more, in {self.both_families.percent()} of the tasks (exact posterior: "
            f"{100 * self.both_families_exact:.0f} %)"
        )


def evaluate_ambiguity(model, tasks, probability, num_samples=100, noise_stddev=0.3, batch_size=200):
    """Tell which families a model's samples show where the points leave both possible.

    Args:
      model: RegressionLearner.
      tasks, probability: from `ambiguous.draw_ambiguous`.
      num_samples: functions sampled for each task.
      noise_stddev: of the targets.
      batch_size: tasks at once; changes speed and memory only.

    Returns:
      Ambiguity.
    """
    sampler, x = sampling.FunctionSampler(model, min(batch_size, len(tasks.truth))), grid()
    samples = sampler.functions(tasks.support_x, tasks.support_y, num_samples)
    exact = exact_posterior(tasks.support_x, tasks.support_y, noise_stddev).sample(x, num_samples, seed=0)
    shares = [looks_sinusoid(functions, x).mean(axis=0) for functions in (samples, exact)]
    both, both_exact = (np.minimum(share, 1 - share) >= _SHARE for share in shares)
    intervals = confidence_interval(shares[0]), confidence_interval(both)
    return Ambiguity(len(tasks.truth), float(probability.mean()), *intervals, float(both_exact.mean()))
