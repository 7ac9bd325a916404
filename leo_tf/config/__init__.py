"""Every setting of a run, as frozen dataclasses that are valid once built and go to JSON and back.

Field names are the flag names of the official code, so that a command for it carries over. Nothing here imports
TensorFlow: `--help`, a typing mistake in a flagfile or a refused run folder answer at once.
"""

from leo_tf.config.data import DataConfig, EpisodeConfig
from leo_tf.config.leo import LEOConfig
from leo_tf.config.maml import MAMLConfig
from leo_tf.config.regression import RegressionConfig
from leo_tf.config.run import ALGORITHMS, PROBLEMS, RunConfig, section_types
from leo_tf.config.training import TrainingConfig

__all__ = [
    "ALGORITHMS",
    "PROBLEMS",
    "DataConfig",
    "EpisodeConfig",
    "LEOConfig",
    "MAMLConfig",
    "RegressionConfig",
    "RunConfig",
    "TrainingConfig",
    "section_types",
]
