"""MAML and Meta-SGD, as far as classification and regression share them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from leo_tf import adaptation
from leo_tf.config import MAMLConfig
from leo_tf.learners.meta_learner import MetaLearner, Trace


class DescentLearner(MetaLearner):
    """Model-agnostic meta-learning: learned initial parameters and a fixed learning rate, or learned rates in Meta-SGD.

    A subclass calls `add_initial_parameters`, and `descend` to adapt; it has `descend_in_evaluation`.

    References:
      Finn et al., "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", ICML 2017.
      Li et al., "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning", 2017; LEO paper, section 4.2, tables 1-2.
    """

    algorithm = "MAML"
    config_type = MAMLConfig
    learns_rates = False  # a learning rate for every parameter is meta-learned, from maml_lr on

    def add_initial_parameters(self, shape: tuple[int, ...]) -> None:
        """Create the initial parameters that all tasks share, at zero, and their learning rates."""
        self.initial_parameters = self.add_weight(name="initial_parameters", shape=shape, initializer="zeros")
        if self.learns_rates:
            self.learning_rate = self.add_learning_rate("learning_rate", shape, self.config.maml_lr)

    @property
    def inner_steps(self) -> tuple[int, int]:
        """Numbers of latent steps, which is 0, and of steps on the parameters."""
        return 0, self.config.maml_steps

    def config_of_steps(self, latent_steps: int, finetuning_steps: int) -> MAMLConfig:
        return dataclasses.replace(self.config, maml_steps=finetuning_steps)

    @property
    def regularized_weights(self) -> list[Any]:
        return [self.initial_parameters]

    @property
    def learning_rates(self) -> list[Any]:
        return [self.learning_rate] if self.learns_rates else []

    def descend(self, tasks: Any, loss: Callable, rate_multiplier: Any = 1.0) -> list[tf.Tensor]:
        """Return the parameters [tasks, ...] at the start and after each step on loss(parameters, step)."""
        initial = tf.convert_to_tensor(self.initial_parameters)
        rate = tf.convert_to_tensor(self.learning_rate) if self.learns_rates else self.config.maml_lr
        return adaptation.descend(
            tf.broadcast_to(initial, [tasks, *initial.shape]),
            loss,
            rate_multiplier * rate,
            self.config.maml_steps,
            self.config.first_order,
            self.config.inner_gradient_norm_threshold,
        )

    def trace(self, support_x: tf.Tensor, support_y: tf.Tensor) -> Trace:
        return Trace(None, tf.stack(self.descend_in_evaluation(support_x, support_y)))

    def adapt_in_evaluation(self, support_x: tf.Tensor, support_y: tf.Tensor) -> tf.Tensor:
        return self.descend_in_evaluation(support_x, support_y)[-1]

    def descend_in_evaluation(self, support_x: tf.Tensor, support_y: tf.Tensor) -> list[tf.Tensor]:
        """Return the list of the problem's parameters at the start and after each step, without noise."""
        raise NotImplementedError
