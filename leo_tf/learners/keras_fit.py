"""A meta-learner as a Keras model: compile, fit and evaluate on batches that are episodes."""

import keras
import tensorflow as tf

from leo_tf import gradients
from leo_tf.errors import InputError

ADAM_EPSILON = 1e-8  # TF1's; Keras' default is 1e-7
JIT_BY_DEFAULT = True  # measured: see the benchmark's table
_NOT_TAKEN = ("loss", "loss_weights", "metrics", "weighted_metrics")


class KerasFit(keras.Model):
    """What `fit` needs of a model with `meta_loss`, `meta_variables`, `matrices`, `episode_type` and `metric_name`.

    The commands use training.Trainer instead, which resumes exactly and spreads over devices.
    """

    def compile(
        self,
        optimizer=None,
        seed=0,
        gradient_threshold=0.1,
        gradient_norm_threshold=0.1,
        jit_compile=None,
        **kwargs,
    ):
        """Prepare for `fit` and `evaluate` on a `tf.data.Dataset` whose elements are episodes of static shape.

        Args:
          optimizer: a Keras optimizer; default Adam with the official settings.
          seed: int, of the noise in training.
          gradient_threshold, gradient_norm_threshold: see `gradients.clip`.
          jit_compile: whether XLA compiles the step; default as the trainer does, on one device.
          **kwargs: as in `keras.Model.compile`, but for losses and metrics.

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
        # The step is compiled inside: XLA draws noise slowly on CPU, and as other numbers.
        super().compile(
            optimizer=optimizer or keras.optimizers.Adam(1e-4, epsilon=ADAM_EPSILON), jit_compile=False, **kwargs
        )
        alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
        jit = JIT_BY_DEFAULT if jit_compile is None else jit_compile
        self._compiled_step = tf.function(self._meta_step, jit_compile=True) if jit and alone else self._meta_step
        self._fit_seed = seed
        self._gradient_limits = gradients.Limits(gradient_threshold, gradient_norm_threshold)
        self.optimizer.build(self.meta_variables)
        self._fit_metrics = {name: keras.metrics.Mean(name) for name in ("loss", self.metric_name)}

    def get_compile_config(self):
        if not self.compiled:
            return None
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "seed": self._fit_seed,
            "gradient_threshold": self._gradient_limits.value,
            "gradient_norm_threshold": self._gradient_limits.norm,
        }

    def compile_from_config(self, config):
        self.compile(**{**config, "optimizer": keras.saving.deserialize_keras_object(config["optimizer"])})

    @property
    def metrics(self):
        return list(self._fit_metrics.values()) if self.compiled else []

    def train_step(self, data):
        """Take one meta-training step on a batch of tasks."""
        if self.warmup_steps:
            raise InputError(
                f"fit got a {self.algorithm} with {self.warmup_steps} first steps in which scales alone learn; expected "
                "none (warmup_steps=0). train.py trains it: its Trainer begins anew after them."
            )
        step = tf.cast(self.optimizer.iterations, tf.int64)
        episode = self.episode_type(*data)
        bits = self.draw_bits(episode, self._fit_seed, step * episode.support_x.shape[0])
        return self._update_metrics(self._compiled_step(episode, bits))

    def _meta_step(self, episode, bits):
        outcome, _ = gradients.meta_step(
            lambda: self.meta_loss(episode, True, noise=self.noise_from_bits(episode, bits)),
            self.optimizer,
            self.meta_variables,
            len(self.matrices),
            self._gradient_limits,
        )
        return outcome

    def test_step(self, data):
        """Evaluate one batch of tasks, deterministically."""
        return self._update_metrics(self.meta_loss(self.episode_type(*data), training=False))

    def predict_step(self, data):
        """Adapt to a batch of tasks and answer its queries, deterministically."""
        return self(self.episode_type(*data))

    def _update_metrics(self, outcome):
        for name, metric in self._fit_metrics.items():
            metric.update_state(getattr(outcome, name))
        return {name: metric.result() for name, metric in self._fit_metrics.items()}
