"""Baselines of regression: the exact posterior, which no learner can beat, and Gaussian processes."""

from leo_tf.regression.baselines.evaluation import evaluate_gaussian_process, evaluate_posterior
from leo_tf.regression.baselines.posterior import exact_posterior

__all__ = ["evaluate_gaussian_process", "evaluate_posterior", "exact_posterior"]
