"""Meta-training: the step, the run around it, its checkpoints and logs."""

from leo_tf.classification.problem import load_table
from leo_tf.training.distribution import make_strategy
from leo_tf.training.step import MetaTrainer
from leo_tf.training.trainer import Interrupted, Trainer

__all__ = ["Interrupted", "MetaTrainer", "Trainer", "load_table", "make_strategy"]
