"""The problem that a run's configuration names."""

from leo_tf.classification.problem import Classification
from leo_tf.regression.problem import Regression

_PROBLEMS = {"classification": Classification, "regression": Regression}


def problem_of(config):
    """Return the Problem of a RunConfig."""
    return _PROBLEMS[config.problem](config)
