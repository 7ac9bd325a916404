"""A meta-learner as a Keras model: compile, fit and evaluate on batches that are episodes."""

import keras
import tensorflow as tf

from leo_tf import gradients

ADAM_EPSILON = 1e-8  # TF1's; Keras' default is 1e-7


class KerasFit(keras.Model):
    """What `fit` needs of a model with `meta_loss`, `meta_variables`, `matrices`, `episode_type` and `judged_by`.

    The commands use training.Trainer instead, which resumes exactly and spreads over devices.
    """

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
        self._gradient_limits = gradients.Limits(gradient_threshold, gradient_norm_threshold)
        self.optimizer.build(self.meta_variables)
        self._fit_metrics = {name: keras.metrics.Mean(name) for name in ("loss", self.judged_by)}

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
        step = tf.cast(self.optimizer.iterations, tf.int64)
        episode = self.episode_type(*data)
        outcome, _ = gradients.meta_step(
            lambda: self.meta_loss(episode, True, self._fit_seed, step * episode.support_x.shape[0]),
            self.optimizer,
            self.meta_variables,
            len(self.matrices),
            self._gradient_limits,
        )
        return self._update_metrics(outcome)

    def test_step(self, data):
        """Evaluate one batch of tasks, deterministically."""
        return self._update_metrics(self.meta_loss(self.episode_type(*data), training=False))

    def _update_metrics(self, outcome):
        for name, metric in self._fit_metrics.items():
            metric.update_state(getattr(outcome, name))
        return {name: metric.result() for name, metric in self._fit_metrics.items()}
