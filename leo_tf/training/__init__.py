"""Meta-training: the step, the run around it, its checkpoints and logs."""

from leo_tf.training.meta_training import MetaTraining
from leo_tf.training.step import MetaSteps
from leo_tf.training.strategy import make_strategy
from leo_tf.training.trainer import Interrupted, Trainer

__all__ = ["Interrupted", "MetaSteps", "MetaTraining", "Trainer", "make_strategy"]
