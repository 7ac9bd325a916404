"""Settings of a run: frozen dataclasses that are valid once built and convert to JSON and back.

Field names are the flag names of the official code, so that a command for it carries over. Nothing here imports
TensorFlow: `--help` and errors in flags answer at once.
"""

from leo_tf.config.algorithms import ALGORITHMS, learner_class
from leo_tf.config.data import DataConfig, EpisodeConfig
from leo_tf.config.leo import LEOConfig
from leo_tf.config.maml import MAMLConfig
from leo_tf.config.proto_leo import ProtoLEOConfig
from leo_tf.config.regression import RegressionConfig
from leo_tf.config.run import PROBLEMS, RunConfig, section_types
from leo_tf.config.section import AUTO
from leo_tf.config.training import TrainingConfig

__all__ = [
    "ALGORITHMS",
    "AUTO",
    "PROBLEMS",
    "DataConfig",
    "EpisodeConfig",
    "LEOConfig",
    "MAMLConfig",
    "ProtoLEOConfig",
    "RegressionConfig",
    "RunConfig",
    "TrainingConfig",
    "learner_class",
    "section_types",
]
