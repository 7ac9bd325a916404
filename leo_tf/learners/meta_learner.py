"""What every meta-learner here is: a way to adapt to a support set, judged on queries.

LEO and the baselines it is compared with differ in how they adapt, classification and regression in what a task is.
Training and checkpoints see only this.
"""

import dataclasses
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from leo_tf import objective, randomness
from leo_tf.errors import InputError
from leo_tf.learners.keras_fit import KerasFit


class AdaptationOutput(NamedTuple):
    """What adaptation in training gives."""

    parameters: tf.Tensor  # [tasks, ...]: a classifier, or the parameters of a network
    kl: tf.Tensor  # [tasks], nats a latent dimension
    encoder_penalty: tf.Tensor  # [tasks]
    weights: Any = None  # [tasks, samples, candidates], where there are several: parameters have as many rows


class Trace(NamedTuple):
    """Where adaptation without noise goes, step by step.

    What was encoded or initialised is step 0; S latent steps follow, then F fine-tuning steps.
    """

    latents: tf.Tensor | None  # [S + 1, tasks, ...]; None for learners without codes
    parameters: tf.Tensor  # [S + F + 1, tasks, ...], of latent steps what the codes decode to


class MetaLearner(KerasFit):
    """A model that adapts to tasks.

    A subclass creates its variables in its constructor and has `matrices` and `learning_rates`; its problem gives it
    `draw_bits`, `noise_from_bits` and `judge`; its algorithm `adapt_in_training` and `adapt_in_evaluation`.

    Args:
      config: LEOConfig or MAMLConfig.
    """

    algorithm = "a meta-learner"  # the name in results
    config_type: Any = None  # of `config`
    episode_type: Any = None  # NamedTuple of a batch of tasks, with support_x and support_y
    outcome_type: Any = None  # NamedTuple that `meta_loss` returns, with `loss` and the field `metric_name`
    metric_name = "loss"

    def __init__(self, config=None, **kwargs):
        super().__init__(**kwargs)
        self.config = config or self.config_type()
        if not isinstance(self.config, self.config_type):
            raise InputError(
                f"{self.algorithm} got a {type(self.config).__name__}; expected a {self.config_type.__name__}."
            )

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

    @property
    def scales(self):
        """What else is learned: no weights that the L2 penalty is on, no rates of steps."""
        return []

    @property
    def warmup_steps(self):
        """So many first steps of training, in which `warmup_variables` alone learn; it then begins anew without them."""
        return 0

    @property
    def warmup_variables(self):
        """Those of `meta_variables` that learn in the first steps, and are zero at the start and after them."""
        return []

    @property
    def fixed_variables(self):
        """What is fitted to the data before meta-training and then stays, a list of variables."""
        return []

    def draw_bits(self, episode, seed, first_task=0):
        """Draw the random bits that the noise of a stochastic pass over `episode` is made of.

        Apart from `noise_from_bits` because XLA on CPU draws slowly, and other numbers: bits are drawn outside of it.

        Args:
          episode: of `episode_type`, of static shape.
          seed: int, or int64 [2] from `randomness.stream_seed`.
          first_task: index in the run of the first task, which together with `seed` fixes the bits.
        """
        raise NotImplementedError

    def noise_from_bits(self, episode, bits):
        """Turn the result of `draw_bits` into the noise that `meta_loss` takes, of the episode's dtype."""
        raise NotImplementedError

    def adapt_in_training(self, support_x, support_y, noise):
        """Adapt as meta-training does, with noise.

        Args:
          support_x, support_y: of an episode.
          noise: from `noise_from_bits`.

        Returns:
          AdaptationOutput.
        """
        raise NotImplementedError

    def adapt_in_evaluation(self, support_x, support_y):
        """Adapt without noise; arguments as in `adapt_in_training`, returns the parameters [tasks, ...]."""
        raise NotImplementedError

    def trace(self, support_x, support_y) -> Trace:
        """Adapt as `adapt_in_evaluation`, whose result is the last of the trace's parameters; return the Trace."""
        raise NotImplementedError

    def query_metrics(self, episode, adapted, noise):
        """Measure adapted parameters on an episode's queries.

        Args:
          episode: of `episode_type`.
          adapted: AdaptationOutput.
          noise: as in training, or None.

        Returns:
          {"query_loss": [tasks], and what else `outcome_type` has of the queries}.
        """
        raise NotImplementedError

    def penalties(self, adapted):
        """Return the weighted penalties of an AdaptationOutput, [tasks]; none unless a subclass has some."""
        return tf.zeros_like(adapted.kl)

    def regularization(self):
        """Return the weighted L2 penalty, a scalar."""
        return self.config.l2_penalty_weight * objective.l2_penalty(self.matrices)

    def meta_loss(self, episode, training, seed=None, first_task=0, noise=None):
        """Compute the meta-objective on a batch of tasks.

        Args:
          episode: of `episode_type`.
          training: True samples codes and parameters and drops out inputs; False uses means and is deterministic.
          seed: int, or int64 [2] from `randomness.stream_seed`; needed when training, unless `noise` is given.
          first_task: index in the run of the first task, which together with `seed` fixes the noise.
          noise: what to use instead of drawing it, as from `noise_from_bits`.

        Returns:
          What `outcome_type` says.

        Raises:
          InputError: training without a seed or noise.

        References:
          Paper algorithm 1 and equation 6.
        """
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
    def without_penalties(parameters):
        """Return parameters [tasks, ...] as an AdaptationOutput whose penalties are zero."""
        zero = tf.zeros([tf.shape(parameters)[0]], parameters.dtype)
        return AdaptationOutput(parameters, zero, zero)

    @property
    def meta_variables(self):
        """All trainable variables in a fixed order: `matrices`, `learning_rates`, `scales`."""
        return [*self.matrices, *self.learning_rates, *self.scales]

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

    def add_learning_rate(self, name, shape, value):
        """Create the learning rate variable `name`, which starts at `value`."""
        return self.add_weight(name=name, shape=shape, initializer=keras.initializers.Constant(value))

    def get_config(self):
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "config": cls.config_type(**config["config"])})


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
