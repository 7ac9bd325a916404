"""The problem that a run's configuration names."""

from leo_tf.classification.problem import Classification
from leo_tf.regression.problem import Regression

_PROBLEMS = {"classification": Classification, "regression": Regression}


def problem_of(config):
    """Return the Problem of a RunConfig."""
    return _PROBLEMS[config.problem](config)


def flags_of_other_problems(name):
    """Return the flags of evaluate.py that mean something for other problems only, sorted."""
    others = frozenset().union(*(problem.evaluation_flags for problem in _PROBLEMS.values()))
    return sorted(others - _PROBLEMS[name].evaluation_flags)
