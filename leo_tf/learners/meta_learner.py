"""Base class of meta-learners: a Keras model that adapts to support sets and is trained on the loss of their queries.

Algorithms differ in how they adapt, problems in what a task is. Training, checkpoints and evaluation see only this.
"""

import dataclasses
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from leo_tf import gradients, objective, randomness
from leo_tf.errors import InputError

ADAM_EPSILON = 1e-8  # TF1's; Keras' default is 1e-7
JIT_BY_DEFAULT = True  # measured to be faster: docs/speed.md
_NOT_TAKEN = ("loss", "loss_weights", "metrics", "weighted_metrics")


class AdaptationOutput(NamedTuple):
    """Adapted parameters of a batch of tasks, and the terms of the meta-objective that adaptation gives."""

    parameters: tf.Tensor  # [tasks, ...]: a classifier, or the parameters of a network
    kl: tf.Tensor  # [tasks], nats per latent dimension
    encoder_penalty: tf.Tensor  # [tasks]
    weights: tf.Tensor | None = None  # [tasks, samples, candidates], where parameters hold one row for each of these


class Trace(NamedTuple):
    """Codes and parameters after every step of a deterministic adaptation: the start, S latent, F fine-tuning steps."""

    latents: tf.Tensor | None  # [S + 1, tasks, ...]; None for learners without codes
    parameters: tf.Tensor  # [S + F + 1, tasks, ...]; during latent steps what the codes decode to


class MetaLearner(keras.Model):
    """A model that adapts to tasks; `compile`, `fit` and `evaluate` take a `tf.data.Dataset` of episodes.

    A subclass creates its variables in its constructor and has `regularized_weights` and `learning_rates`. Its problem
    defines `draw_bits`, `noise_from_bits` and `query_metrics`, its algorithm `adapt_in_training`,
    `adapt_in_evaluation` and `trace`. The commands train with training.Trainer instead of `fit`: it resumes exactly
    and runs on several devices.

    Args:
      config: section of settings, of type `config_type`.
    """

    algorithm = "a meta-learner"  # its name in results
    config_type: Any = None
    episode_type: Any = None  # NamedTuple of a batch of tasks; its first two fields are the support set
    outcome_type: Any = None  # NamedTuple that `meta_loss` returns, with fields `loss` and `metric_name`
    metric_name = "loss"

    has_latents = False  # whether it adapts latent codes
    has_bias = False  # whether the last column of its classifiers is a bias
    has_unknown = False  # whether it has `log_ratios`, by which queries of classes that it was not shown are recognised
    exportable = False  # whether it can be exported as a SavedModel
    fixed_ways: int | None = None  # the only number of ways that it adapts to, if there is one

    def __init__(self, config: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config or self.config_type()
        if not isinstance(self.config, self.config_type):
            raise InputError(
                f"{self.algorithm} got a {type(self.config).__name__}; expected a {self.config_type.__name__}."
            )

    @property
    def configs(self) -> list[Any]:
        """Dataclasses that, together with the weights, define the model."""
        return [self.config]

    @property
    def regularized_weights(self) -> list[Any]:
        """Weights that the L2 penalty applies to: the trainable variables that are neither rates nor scales."""
        raise NotImplementedError

    @property
    def learning_rates(self) -> list[Any]:
        """Meta-learned learning rates of the inner steps."""
        raise NotImplementedError

    @property
    def scales(self) -> list[Any]:
        """Other meta-learned variables, without L2 penalty."""
        return []

    @property
    def meta_variables(self) -> list[Any]:
        """Variables that meta-training trains, in a fixed order: regularized weights, learning rates, scales."""
        return [*self.regularized_weights, *self.learning_rates, *self.scales]

    @property
    def fixed_variables(self) -> list[Any]:
        """Variables that are fitted to the data before meta-training and then stay as they are."""
        return []

    def episode_features(self, episode: Any) -> Any:
        """Replace the inputs of an episode by the features that the model works on; by default they are the same."""
        return episode

    def draw_bits(self, episode: Any, seed: Any, first_task: Any = 0) -> Any:
        """Draw the random bits for the noise of a stochastic pass.

        Separate from `noise_from_bits` because XLA on CPU draws slowly and gives other numbers: bits are drawn outside.

        They are a function of `seed` and of the index of the first task in the run. The episode has static shape.
        """
        raise NotImplementedError

    def noise_from_bits(self, episode: Any, bits: Any) -> Any:
        """Turn the result of `draw_bits` into the noise that `meta_loss` takes, in the episode's dtype."""
        raise NotImplementedError

    def adapt_in_training(self, support_x: tf.Tensor, support_y: tf.Tensor, noise: Any) -> AdaptationOutput:
        """Adapt to support sets of features, with noise from `noise_from_bits`."""
        raise NotImplementedError

    def adapt_in_evaluation(self, support_x: tf.Tensor, support_y: tf.Tensor) -> tf.Tensor:
        """Adapt to support sets of features without noise; return the parameters [tasks, ...]."""
        raise NotImplementedError

    def trace(self, support_x: tf.Tensor, support_y: tf.Tensor) -> Trace:
        """Adapt as `adapt_in_evaluation`, whose result is the last of the trace's parameters; return the Trace."""
        raise NotImplementedError

    def query_metrics(self, episode: Any, adapted: AdaptationOutput, noise: Any) -> dict[str, tf.Tensor]:
        """Measure adapted parameters on the queries: "query_loss" and other fields of `outcome_type`, each [tasks]."""
        raise NotImplementedError

    def penalties(self, adapted: AdaptationOutput) -> tf.Tensor:
        """Return the weighted penalties of the adaptation, [tasks]; zero by default."""
        return tf.zeros_like(adapted.kl)

    def regularization(self) -> tf.Tensor:
        """Return the weighted L2 penalty, a scalar."""
        return self.config.l2_penalty_weight * objective.l2_penalty(self.regularized_weights)

    def meta_loss(self, episode: Any, training: bool, seed: Any = None, first_task: Any = 0, noise: Any = None) -> Any:
        """Compute the meta-objective on a batch of tasks.

        Args:
          episode: of `episode_type`.
          training: True samples codes and parameters and applies dropout; False uses means and is deterministic.
          seed: int, or int64 [2] from `randomness.stream_seed`; required when training, unless `noise` is given.
          first_task: index of the first task in the run; together with `seed` it determines the noise.
          noise: noise from `noise_from_bits` to use instead of drawing it.

        Returns:
          `outcome_type`.

        Raises:
          InputError: training without a seed or noise.

        References:
          Paper algorithm 1 and equation 6.
        """
        return self.meta_loss_on_features(self.episode_features(episode), training, seed, first_task, noise)

    def meta_loss_on_features(
        self, episode: Any, training: bool, seed: Any = None, first_task: Any = 0, noise: Any = None
    ) -> Any:
        """Compute the meta-objective on an episode whose inputs are features already; as `meta_loss`."""
        if training:
            if noise is None:
                noise = self.noise_from_bits(episode, self.draw_bits(episode, seed, first_task))
            adapted = self.adapt_in_training(episode.support_x, episode.support_y, noise)
        else:
            noise, adapted = None, self.without_penalties(self.adapt_in_evaluation(*episode[:2]))
        measured = self.query_metrics(episode, adapted, noise)
        regularization = self.regularization()
        return self.outcome_type(
            loss=tf.reduce_mean(measured["query_loss"] + self.penalties(adapted)) + regularization,
            kl=adapted.kl,
            encoder_penalty=adapted.encoder_penalty,
            regularization=regularization,
            **measured,
        )

    @staticmethod
    def without_penalties(parameters: tf.Tensor) -> AdaptationOutput:
        """Return parameters [tasks, ...] as an AdaptationOutput whose penalties are zero."""
        zero = tf.zeros([tf.shape(parameters)[0]], parameters.dtype)
        return AdaptationOutput(parameters, zero, zero)

    def initialize_weights(self, seed: int) -> None:
        """Draw the weight matrices Glorot-uniform from a stream of their own, equal on every replica; biases are 0."""
        pair = randomness.stream_seed(seed, randomness.INITIAL_WEIGHTS)
        for index, variable in enumerate(self.regularized_weights):
            if variable.shape.rank == 1:
                variable.assign(tf.zeros_like(variable))
                continue
            limit = (6.0 / sum(variable.shape)) ** 0.5
            draws = tf.random.stateless_uniform(variable.shape, tf.random.fold_in(pair, index), -limit, limit)
            variable.assign(tf.cast(draws, variable.dtype))

    def add_learning_rate(self, name: str, shape: tuple[int, ...], value: float) -> Any:
        """Create the learning rate variable `name` with this initial value."""
        return self.add_weight(name=name, shape=shape, initializer=keras.initializers.Constant(value))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{**config, "config": cls.config_type(**config["config"])})

    def compile(
        self,
        optimizer: Any = None,
        seed: int = 0,
        gradient_threshold: float = 0.1,
        gradient_norm_threshold: float = 0.1,
        jit_compile: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Prepare for `fit` and `evaluate` on a `tf.data.Dataset` whose elements are episodes of static shape.

        Args:
          optimizer: a Keras optimizer; by default Adam with the official settings.
          seed: int, of the noise in training.
          gradient_threshold, gradient_norm_threshold: see `gradients.clip`.
          jit_compile: whether XLA compiles the step; by default as in the trainer, on one device.
          **kwargs: as in `keras.Model.compile`, except losses and metrics.

        Raises:
          InputError: a loss or metrics were given.
        """
        given = [name for name in _NOT_TAKEN if kwargs.pop(name, None) is not None]
        if given:
            raise InputError(
                f"compile got {', '.join(given)}; expected none: {self.algorithm} trains on its meta-objective, which "
                f"`meta_loss` computes, and reports loss and {self.metric_name}. The weights of the penalties are in "
                f"{self.config_type.__name__}."
            )
        # Only the step inside is compiled: XLA draws noise slowly on CPU, and gives other numbers.
        super().compile(
            optimizer=optimizer or keras.optimizers.Adam(1e-4, epsilon=ADAM_EPSILON), jit_compile=False, **kwargs
        )
        one_device = tf.distribute.get_strategy().num_replicas_in_sync == 1
        jit = JIT_BY_DEFAULT if jit_compile is None else jit_compile
        self._compiled_step = tf.function(self._meta_step, jit_compile=True) if jit and one_device else self._meta_step
        self._fit_seed = seed
        self._gradient_limits = gradients.Limits(gradient_threshold, gradient_norm_threshold)
        self.optimizer.build(self.meta_variables)
        self._fit_metrics = {name: keras.metrics.Mean(name) for name in ("loss", self.metric_name)}

    def get_compile_config(self) -> dict[str, Any] | None:
        if not self.compiled:
            return None
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "seed": self._fit_seed,
            "gradient_threshold": self._gradient_limits.value,
            "gradient_norm_threshold": self._gradient_limits.norm,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**{**config, "optimizer": keras.saving.deserialize_keras_object(config["optimizer"])})

    @property
    def metrics(self) -> list[Any]:
        return list(self._fit_metrics.values()) if self.compiled else []

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Take one meta-training step on a batch of tasks."""
        step = tf.cast(self.optimizer.iterations, tf.int64)
        episode = self.episode_features(self.episode_type(*data))
        bits = self.draw_bits(episode, self._fit_seed, step * episode.support_x.shape[0])
        return self._update_metrics(self._compiled_step(episode, bits))

    def _meta_step(self, episode: Any, bits: Any) -> Any:
        outcome, _ = gradients.meta_step(
            lambda: self.meta_loss_on_features(episode, True, noise=self.noise_from_bits(episode, bits)),
            self.optimizer,
            self.meta_variables,
            len(self.regularized_weights),
            self._gradient_limits,
        )
        return outcome

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Evaluate one batch of tasks, deterministically."""
        return self._update_metrics(self.meta_loss(self.episode_type(*data), training=False))

    def predict_step(self, data: Any) -> tf.Tensor:
        """Adapt to a batch of tasks and predict its queries, deterministically."""
        return self(self.episode_type(*data))

    def _update_metrics(self, outcome: Any) -> dict[str, tf.Tensor]:
        for name, metric in self._fit_metrics.items():
            metric.update_state(getattr(outcome, name))
        return {name: metric.result() for name, metric in self._fit_metrics.items()}


def noise_seed(seed: Any) -> tf.Tensor:
    """Return the seed pair of a stochastic pass: if `seed` is an int, of that run seed's noise stream."""
    if seed is None:
        raise InputError("A stochastic pass got neither seed nor noise; give one of them, e.g. seed=0.")
    return randomness.stream_seed(seed, randomness.NOISE)
