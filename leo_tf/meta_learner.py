"""What every meta-learner here is: a way to adapt to a support set, judged on queries; also a Keras model to `fit`.

LEO and the baselines it is compared with differ in how they adapt. Training, checkpoints and evaluation see only this.
"""

import dataclasses

import keras
import tensorflow as tf

from leo_tf import gradients, objective, randomness
from leo_tf.config import LEOConfig
from leo_tf.data.episodes import Episode
from leo_tf.errors import InputError
from leo_tf.noise import Noise, draw_bits, dropout, noise_from_bits
from leo_tf.objective import MetaLoss

ADAM_EPSILON = 1e-8  # TF1's; Keras' default is 1e-7


class MetaLearner(keras.Model):
    """A model that adapts to tasks over fixed embeddings.

    A subclass creates its variables in its constructor and has `matrices`, `learning_rates`, `adapt_in_training` and
    `adapt_in_evaluation`.

    Args:
      config: LEOConfig.
      embedding_dim: dimensions of an embedding.
    """

    algorithm = "a meta-learner"  # the name in results

    def __init__(self, config, embedding_dim, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.embedding_dim = embedding_dim

    @property
    def matrices(self):
        """The weight matrices: the trainable variables that are not learning rates."""
        raise NotImplementedError

    @property
    def learning_rates(self):
        """The meta-learned learning rates of the inner steps."""
        raise NotImplementedError

    @property
    def meta_variables(self):
        """All trainable variables in a fixed order: `matrices`, then `learning_rates`."""
        return [*self.matrices, *self.learning_rates]

    def adapt_in_training(self, support_x, labels, noise):
        """Adapt as meta-training does, with noise.

        Args:
          support_x: embeddings [tasks, ways, shots, dim].
          labels: [tasks, ways * shots] int.
          noise: Noise.

        Returns:
          (classifier [tasks, ways, dim], kl [tasks], encoder penalty [tasks]).
        """
        raise NotImplementedError

    def adapt_in_evaluation(self, support_x, labels):
        """Adapt without noise; arguments as in `adapt_in_training`, returns the classifier."""
        raise NotImplementedError

    def require_ways(self, ways):
        """Raise InputError if the model cannot adapt to tasks of this many classes."""

    def initialize(self, seed):
        """Draw the matrices Glorot-uniform from a stream of their own, the same on every replica."""
        pair = randomness.stream_seed(seed, randomness.INITIAL_WEIGHTS)
        for index, matrix in enumerate(self.matrices):
            limit = (6.0 / sum(matrix.shape)) ** 0.5
            draws = tf.random.stateless_uniform(matrix.shape, tf.random.fold_in(pair, index), -limit, limit)
            matrix.assign(tf.cast(draws, matrix.dtype))

    def meta_loss(self, episode, training, seed=None, first_task=0, noise=None):
        """Compute the meta-objective on a batch of tasks.

        Args:
          episode: Episode.
          training: True samples codes and weights and drops out embeddings; False uses means and is deterministic.
          seed: int, or int64 [2] from `randomness.stream_seed`; needed when training, unless `noise` is given.
          first_task: index in the run of the first task, which together with `seed` fixes the noise.
          noise: what to use instead of drawing it: the bits from `draw_bits`, or a Noise.

        Returns:
          MetaLoss.

        Raises:
          InputError: training without a seed or noise.

        References:
          Paper algorithm 1 and equation 6.
        """
        labels, query_x = join_examples(episode.support_y), episode.query_x
        if training:
            if noise is None:
                noise = self.draw_bits(episode, seed, first_task)
            if not isinstance(noise, Noise):
                noise = noise_from_bits(self.config, episode, noise)
            classifier, kl, encoder_penalty = self.adapt_in_training(episode.support_x, labels, noise)
            query_x = dropout(query_x, noise.query_mask, self.config.dropout_rate)
        else:
            classifier = self.adapt_in_evaluation(episode.support_x, labels)
            kl = encoder_penalty = tf.zeros_like(classifier[:, 0, 0])
        logits, labels = self.classify(join_examples(query_x), classifier), join_examples(episode.query_y)
        query_loss = tf.reduce_mean(objective.cross_entropy(logits, labels), axis=1)
        penalties = self.config.kl_weight * kl + self.config.encoder_penalty_weight * encoder_penalty
        regularization = self.regularization()
        return MetaLoss(
            loss=tf.reduce_mean(query_loss + penalties) + regularization,
            query_loss=query_loss,
            accuracy=objective.accuracy(logits, labels),
            kl=kl,
            encoder_penalty=encoder_penalty,
            regularization=regularization,
        )

    def draw_bits(self, episode, seed, first_task=0):
        """Draw the random bits of a stochastic pass over `episode`; arguments as in `meta_loss`."""
        if seed is None:
            raise InputError("A stochastic pass got neither seed nor noise; give one of them, e.g. seed=0.")
        if not tf.is_tensor(seed) or seed.shape.rank == 0:
            seed = randomness.stream_seed(seed, randomness.NOISE)
        return draw_bits(self.config, episode, seed, first_task)

    def regularization(self):
        """Return the weighted L2 penalty, a scalar."""
        return self.config.l2_penalty_weight * objective.l2_penalty(self.matrices)

    def adapt(self, support_x, support_y):
        """Adapt to support sets, deterministically.

        Args:
          support_x: embeddings [tasks, ways, shots, dim], class n in row n.
          support_y: labels [tasks, ways, shots] int, n in row n.

        Returns:
          Classifier [tasks, ways, dim].

        Raises:
          InputError: support_x has another rank or dim.
        """
        support_x = tf.convert_to_tensor(support_x, self.compute_dtype)
        if support_x.shape.rank != 4 or support_x.shape[-1] != self.embedding_dim:
            raise InputError(
                f"support_x has shape {tuple(support_x.shape)}; expected [tasks, ways, shots, {self.embedding_dim}]."
            )
        return self.adapt_in_evaluation(support_x, join_examples(tf.convert_to_tensor(support_y, tf.int32)))

    def classify(self, query_x, classifier):
        """Return logits [tasks, queries, ways] of query_x [tasks, queries, dim] under classifier [tasks, ways, dim]."""
        return tf.matmul(tf.convert_to_tensor(query_x, classifier.dtype), classifier, transpose_b=True)

    def call(self, episode):
        """Adapt to an episode's support and return the logits of its queries, [tasks, ways * queries, ways]."""
        episode = Episode(*episode)
        return self.classify(join_examples(episode.query_x), self.adapt(episode.support_x, episode.support_y))

    # As a Keras model: compile, fit and evaluate on batches that are Episodes. The commands use training.Trainer.

    def compile(self, optimizer=None, seed=0, gradient_threshold=0.1, gradient_norm_threshold=0.1, **kwargs):
        """Prepare for `fit` and `evaluate` on a `tf.data.Dataset` whose elements are `Episode`s of static shape.

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
        self._fit_metrics = {name: keras.metrics.Mean(name) for name in ("loss", "accuracy")}

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
        """Take one meta-training step on an Episode."""
        step = tf.cast(self.optimizer.iterations, tf.int64)
        episode = Episode(*data)
        with tf.GradientTape() as tape:
            outcome = self.meta_loss(episode, True, self._fit_seed, step * episode.support_x.shape[0])
        zero = tf.UnconnectedGradients.ZERO  # for the fine-tuning rate, when there are no such steps
        values = tape.gradient(outcome.loss, self.meta_variables, unconnected_gradients=zero)
        values, _ = gradients.guard(outcome.loss, values, self.meta_variables, len(self.matrices))
        self.optimizer.apply(gradients.clip(values, *self._gradient_limits), self.meta_variables)
        return self._update_metrics(outcome)

    def test_step(self, data):
        """Evaluate one Episode, deterministically."""
        return self._update_metrics(self.meta_loss(Episode(*data), training=False))

    def _update_metrics(self, outcome):
        self._fit_metrics["loss"].update_state(outcome.loss)
        self._fit_metrics["accuracy"].update_state(outcome.accuracy)
        return {name: metric.result() for name, metric in self._fit_metrics.items()}

    def get_config(self):
        return {
            **super().get_config(),
            "config": dataclasses.asdict(self.config),
            "embedding_dim": self.embedding_dim,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "config": LEOConfig(**config["config"])})


def join_examples(tensor):
    """Join the axes of classes and examples: [tasks, ways, n, ...] -> [tasks, ways * n, ...]."""
    shape = tf.shape(tensor)
    return tf.reshape(tensor, tf.concat([shape[:1], [shape[1] * shape[2]], shape[3:]], axis=0))
