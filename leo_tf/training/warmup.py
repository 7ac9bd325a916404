"""Warm-up: steps before training proper, in which only the learner's `warmup_variables` are trained."""

from typing import Any

import keras
import tensorflow as tf

from leo_tf.config import TrainingConfig
from leo_tf.learners import ADAM_EPSILON
from leo_tf.training.step import MetaSteps


class WarmUp:
    """The warm-up of a learner.

    Its result is one candidate for the best checkpoint; training then starts from scratch, with these variables at zero
    again. The optimizer is separate: steps with zero gradients would change Adam's bias correction, and the first steps
    of training would be several times too large. Build this in the strategy's scope.
    """

    def __init__(self, learner: Any, training: TrainingConfig) -> None:
        self._learner, self._training = learner, training
        self.optimizer = keras.optimizers.Adam(training.outer_lr, epsilon=ADAM_EPSILON)
        self.optimizer.build(learner.warmup_variables)
        self.steps: Any = None

    def prepare(self, sampler: Any, strategy: Any) -> None:
        """Make `steps`, the MetaSteps of the warm-up."""
        variables = self._learner.warmup_variables
        self.steps = MetaSteps(self._learner, self.optimizer, sampler, strategy, self._training, variables)

    @property
    def steps_taken(self) -> int:
        return int(self.optimizer.iterations.numpy())

    def reset(self) -> None:
        """Set the variables to zero, for training proper."""
        for variable in self._learner.warmup_variables:
            variable.assign(tf.zeros_like(variable))
