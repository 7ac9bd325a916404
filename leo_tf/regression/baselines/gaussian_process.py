"""Gaussian processes by scikit-learn, with a kernel per task or one kernel for all tasks."""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

from leo_tf.errors import InputError, require_package
from leo_tf.regression.baselines.posterior import checked_support


class GaussianPrediction(NamedTuple):
    """The posterior of the function without noise at each point alone."""

    mean: np.ndarray  # [tasks, n]
    stddev: np.ndarray  # [tasks, n]

    def sample(self, samples: int, seed: int) -> np.ndarray:
        """Draw values [samples, tasks, n], independent from point to point: for scores of single points."""
        rng = np.random.default_rng(seed)
        return self.mean + self.stddev * rng.standard_normal((samples, *self.mean.shape))


def gaussian_process(
    support_x: Any, support_y: Any, x: Any, noise_stddev: float = 0.3, kernel: Any = None
) -> GaussianPrediction:
    """Predict the function of every task at x [n] by a Gaussian process of mean 0.

    It knows less than `exact_posterior`: a mixture of two families whose mean is not 0 is not a Gaussian process.
    kernel: from `fit_kernel`, used unchanged; by default a kernel is fitted to the support of each task, by its
    marginal likelihood, in about 20 ms per task.

    References:
      Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, algorithm 2.1 and chapter 5.
    """
    support_x, support_y = checked_support(support_x, support_y, noise_stddev)
    limited, regressor = _scikit_learn(noise_stddev)
    x = np.asarray(x, np.float64)[:, np.newaxis]
    mean, stddev = np.empty((2, len(support_x), len(x)))
    with limited, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a kernel fitted to few points often ends at its bounds
        for task, (inputs, targets) in enumerate(zip(support_x, support_y[..., 0], strict=True)):
            model = regressor() if kernel is None else regressor(kernel=kernel, optimizer=None)
            mean[task], stddev[task] = model.fit(inputs, targets).predict(x, return_std=True)
    return GaussianPrediction(mean, stddev)


def fit_kernel(support_x: Any, support_y: Any, noise_stddev: float = 0.3) -> Any:
    """Fit one kernel, constant * RBF + constant * dot product, to many tasks, by the sum of their log likelihoods.

    A few hundred tasks are enough, at about 20 ms per task.
    """
    support_x, support_y = checked_support(support_x, support_y, noise_stddev)
    if not support_x.size:
        raise InputError(f"Got support_x {list(support_x.shape)}; expected at least one point to fit a kernel to.")
    limited, regressor = _scikit_learn(noise_stddev)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        likelihoods = [model.log_marginal_likelihood(theta, True, clone_kernel=False) for model in models]
        values, gradients = zip(*likelihoods, strict=True)
        return -math.fsum(values) / len(models), -np.mean(gradients, axis=0)

    with limited:
        models = [
            regressor(optimizer=None).fit(inputs, targets)
            for inputs, targets in zip(support_x, support_y[..., 0], strict=True)
        ]
        kernel = models[0].kernel_
        found = optimize.minimize(loss, kernel.theta, jac=True, method="L-BFGS-B", bounds=kernel.bounds)
    return kernel.clone_with_theta(found.x)


def require_scikit_learn() -> None:
    """Raise InputError unless scikit-learn is installed."""
    require_package("sklearn.gaussian_process", "A Gaussian process")


def _scikit_learn(noise_stddev: float) -> tuple[Any, Callable]:
    """Return a context manager that limits threads, and a function that makes a regressor."""
    require_scikit_learn()
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    bounds = (1e-3, 1e3)
    kernel = ConstantKernel(1.0, bounds) * RBF(1.0, bounds) + ConstantKernel(1.0, bounds) * DotProduct(1.0, bounds)
    make = functools.partial(GaussianProcessRegressor, kernel=kernel, alpha=noise_stddev**2)
    return threadpool_limits(limits=1), make  # the matrices are too small for several threads
