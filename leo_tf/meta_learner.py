"""What every meta-learner here is: a way to adapt to a support set, judged on queries; also a Keras model to `fit`.

LEO and the baselines it is compared with differ in how they adapt, classification and regression in what a task is.
Training and checkpoints see only this.
"""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from leo_tf import gradients, objective, randomness
from leo_tf.config import LEOConfig
from leo_tf.errors import InputError

ADAM_EPSILON = 1e-8  # TF1's; Keras' default is 1e-7


class MetaLearner(keras.Model):
    """A model that adapts to tasks.

    A subclass creates its variables in its constructor and has `matrices`, `learning_rates`, `meta_loss` and
    `draw_bits`.

    Args:
      config: LEOConfig.
    """

    algorithm = "a meta-learner"  # the name in results
    episode_type: Any = None  # NamedTuple of a batch of tasks
    outcome_type: Any = None  # NamedTuple that `meta_loss` returns, with `loss` and the field `judged_by`
    judged_by = "loss"

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config

    @property
    def configs(self):
        """The dataclasses that, with the weights, define the model."""
        return [self.config]

    @property
    def matrices(self):
        """The weight matrices: the trainable variables that are not learning rates."""
        raise NotImplementedError

    @property
    def learning_rates(self):
        """The meta-learned learning rates of the inner steps."""
        raise NotImplementedError

    def meta_loss(self, episode, training, seed=None, first_task=0, noise=None):
        """Compute the meta-objective on a batch of tasks.

        Args:
          episode: of `episode_type`.
          training: True is stochastic, False deterministic.
          seed: int, or int64 [2] from `randomness.stream_seed`; needed when training, unless `noise` is given.
          first_task: index in the run of the first task, which together with `seed` fixes the noise.
          noise: what to use instead of drawing it: the bits from `draw_bits`.

        Returns:
          What `outcome_type` says.
        """
        raise NotImplementedError

    def draw_bits(self, episode, seed, first_task=0):
        """Draw the random bits of a stochastic pass over `episode`; arguments as in `meta_loss`."""
        raise NotImplementedError

    @property
    def meta_variables(self):
        """All trainable variables in a fixed order: `matrices`, then `learning_rates`."""
        return [*self.matrices, *self.learning_rates]

    def add_learning_rate(self, name, size, value):
        """Create the variable `name`_learning_rate [size], which starts at `value`."""
        return self.add_weight(
            name=f"{name}_learning_rate", shape=(size,), initializer=keras.initializers.Constant(value)
        )

    def initialize(self, seed):
        """Draw the matrices Glorot-uniform from a stream of their own, the same on every replica; biases are zero."""
        pair = randomness.stream_seed(seed, randomness.INITIAL_WEIGHTS)
        for index, matrix in enumerate(self.matrices):
            if matrix.shape.rank == 1:
                matrix.assign(tf.zeros_like(matrix))
                continue
            limit = (6.0 / sum(matrix.shape)) ** 0.5
            draws = tf.random.stateless_uniform(matrix.shape, tf.random.fold_in(pair, index), -limit, limit)
            matrix.assign(tf.cast(draws, matrix.dtype))

    def regularization(self):
        """Return the weighted L2 penalty, a scalar."""
        return self.config.l2_penalty_weight * objective.l2_penalty(self.matrices)

    # As a Keras model: compile, fit and evaluate on batches that are episodes. The commands use training.Trainer.

    def compile(self, optimizer=None, seed=0, gradient_threshold=0.1, gradient_norm_threshold=0.1, **kwargs):
        """Prepare for `fit` and `evaluate` on a `tf.data.Dataset` whose elements are episodes of static shape.

        Args:
          optimizer: a Keras optimizer; default Adam with the official settings.
          seed: int, of the noise in training.
          gradient_threshold, gradient_norm_threshold: see `gradients.clip`.
          **kwargs: as in `keras.Model.compile`; XLA is off unless jit_compile says otherwise.
        """
        super().compile(
            optimizer=optimizer or keras.optimizers.Adam(1e-4, epsilon=ADAM_EPSILON),
            **{"jit_compile": False, **kwargs},
        )
        self._fit_seed = seed
        self._gradient_limits = (gradient_threshold, gradient_norm_threshold)
        self.optimizer.build(self.meta_variables)
        self._fit_metrics = {name: keras.metrics.Mean(name) for name in ("loss", self.judged_by)}

    def get_compile_config(self):
        if not self.compiled:
            return None
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "seed": self._fit_seed,
            "gradient_threshold": self._gradient_limits[0],
            "gradient_norm_threshold": self._gradient_limits[1],
        }

    def compile_from_config(self, config):
        self.compile(**{**config, "optimizer": keras.saving.deserialize_keras_object(config["optimizer"])})

    @property
    def metrics(self):
        return list(self._fit_metrics.values()) if self.compiled else []

    def train_step(self, data):
        """Take one meta-training step on a batch of tasks."""
        step = tf.cast(self.optimizer.iterations, tf.int64)
        episode = self.episode_type(*data)
        with tf.GradientTape() as tape:
            outcome = self.meta_loss(episode, True, self._fit_seed, step * episode.support_x.shape[0])
        zero = tf.UnconnectedGradients.ZERO  # for the fine-tuning rate, when there are no such steps
        values = tape.gradient(outcome.loss, self.meta_variables, unconnected_gradients=zero)
        values, _ = gradients.guard(outcome.loss, values, self.meta_variables, len(self.matrices))
        self.optimizer.apply(gradients.clip(values, *self._gradient_limits), self.meta_variables)
        return self._update_metrics(outcome)

    def test_step(self, data):
        """Evaluate one batch of tasks, deterministically."""
        return self._update_metrics(self.meta_loss(self.episode_type(*data), training=False))

    def _update_metrics(self, outcome):
        for name, metric in self._fit_metrics.items():
            metric.update_state(getattr(outcome, name))
        return {name: metric.result() for name, metric in self._fit_metrics.items()}

    def get_config(self):
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "config": LEOConfig(**config["config"])})


def noise_seed(seed):
    """Return the seed pair of a stochastic pass: of a run's noise stream if `seed` is an int.

    Raises:
      InputError: there is no seed.
    """
    if seed is None:
        raise InputError("A stochastic pass got neither seed nor noise; give one of them, e.g. seed=0.")
    if not tf.is_tensor(seed) or seed.shape.rank == 0:
        return randomness.stream_seed(seed, randomness.NOISE)
    return seed
