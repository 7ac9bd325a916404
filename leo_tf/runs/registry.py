"""The problem that a run's configuration names, as import paths: a run imports its own problem alone."""

import pkgutil
from typing import Any

from leo_tf.config import RunConfig

_PROBLEMS = {
    "classification": "leo_tf.classification.problem:Classification",
    "regression": "leo_tf.regression.problem:Regression",
}


def problem_of(config: RunConfig) -> Any:
    """Return the Problem of a RunConfig."""
    return pkgutil.resolve_name(_PROBLEMS[config.problem])(config)
