"""The meta-learners by name: their settings and their classes, as import paths that are resolved when needed.

A new meta-learner is one line here, besides its section of settings and its class.
"""

import pkgutil
from typing import Any, NamedTuple

from leo_tf.errors import InputError


class Algorithm(NamedTuple):
    """A meta-learner: "module:name" of its sections and of its classes."""

    model: str  # the section RunConfig.model
    classification: str
    regression: str = ""
    proto_leo: str = ""  # the section RunConfig.proto_leo, where the algorithm has it


ALGORITHMS = {
    "leo": Algorithm(
        "leo_tf.config.leo:LEOConfig", "leo_tf.classification.leo:LEO", "leo_tf.regression.leo:RegressionLEO"
    ),
    "proto_leo": Algorithm(
        "leo_tf.config.leo:LEOConfig",
        "leo_tf.classification.proto_leo:ProtoLEO",
        proto_leo="leo_tf.config.proto_leo:ProtoLEOConfig",
    ),
    "maml": Algorithm(
        "leo_tf.config.maml:MAMLConfig", "leo_tf.classification.maml:MAML", "leo_tf.regression.maml:RegressionMAML"
    ),
    "metasgd": Algorithm(
        "leo_tf.config.maml:MAMLConfig",
        "leo_tf.classification.maml:MetaSGD",
        "leo_tf.regression.maml:RegressionMetaSGD",
    ),
}


def learner_class(algorithm: str, problem: str) -> Any:
    """Return the class of a meta-learner for a problem; raise InputError if the algorithm has none."""
    path = getattr(ALGORITHMS[algorithm], problem)
    if not path:
        having = ", ".join(name for name, each in ALGORITHMS.items() if getattr(each, problem))
        raise InputError(
            f"algorithm={algorithm} was given with problem={problem}; expected one of {having}.", "algorithm"
        )
    return pkgutil.resolve_name(path)
