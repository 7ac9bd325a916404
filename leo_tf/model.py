"""LEO for few-shot classification: encoder, decoder, the two inner loops and the meta-objective in one Keras model."""

import dataclasses

import keras
import tensorflow as tf

from leo_tf import adaptation, gradients, objective, randomness
from leo_tf.config import LEOConfig
from leo_tf.data.episodes import Episode
from leo_tf.errors import InputError
from leo_tf.layers import StochasticDecoder, StochasticEncoder, gaussian
from leo_tf.noise import Noise, draw_bits, dropout, noise_from_bits
from leo_tf.objective import MetaLoss

ADAM_EPSILON = 1e-8  # TF1's; Keras' default is 1e-7


@keras.saving.register_keras_serializable(package="leo_tf")
class LEO(keras.Model):
    """Latent embedding optimization over fixed embeddings (Rusu et al., ICLR 2019).

    The weights know neither ways nor shots: a model trained on 5-way 1-shot tasks adapts to 20-way 3-shot ones. Seven
    trainable variables, there from construction on.

    Args:
      config: LEOConfig.
      embedding_dim: dimensions of an embedding.
      seed: int, of the initial weights; None leaves them to Keras' global seed.

    Example:
      >>> model = leo_tf.LEO(leo_tf.LEOConfig(), embedding_dim=640)
      >>> classifier = model.adapt(support_x, support_y)
      >>> logits = model.classify(query_x, classifier)
    """

    def __init__(self, config=None, embedding_dim=640, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.config = config or LEOConfig()
        self.embedding_dim = embedding_dim
        policy = self.dtype_policy
        self.encoder = StochasticEncoder(self.config.num_latents, name="encoder", dtype=policy)
        self.decoder = StochasticDecoder(embedding_dim, name="decoder", dtype=policy)
        self.encoder.build((None, None, None, embedding_dim))
        self.decoder.build((None, None, None, self.config.num_latents))
        self.latent_learning_rate = self._rate("latent", self.config.num_latents, self.config.inner_lr_init)
        self.finetuning_learning_rate = self._rate("finetuning", embedding_dim, self.config.finetuning_lr_init)
        self.built = True
        if seed is not None:
            self._initialize(seed)

    def _initialize(self, seed):
        """Draw the matrices Glorot-uniform from a stream of their own, the same on every replica."""
        pair = randomness.stream_seed(seed, randomness.INITIAL_WEIGHTS)
        for index, matrix in enumerate(self.matrices):
            limit = (6.0 / sum(matrix.shape)) ** 0.5
            draws = tf.random.stateless_uniform(matrix.shape, tf.random.fold_in(pair, index), -limit, limit)
            matrix.assign(tf.cast(draws, matrix.dtype))

    def _rate(self, name, size, value):
        return self.add_weight(
            name=f"{name}_learning_rate", shape=(size,), initializer=keras.initializers.Constant(value)
        )

    @property
    def matrices(self):
        """The weight matrices: the trainable variables that are not learning rates."""
        return [self.encoder.projection, *self.encoder.relation.kernels, self.decoder.kernel]

    @property
    def meta_variables(self):
        """All seven trainable variables in a fixed order: `matrices`, then the two learning rates."""
        return [*self.matrices, self.latent_learning_rate, self.finetuning_learning_rate]

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
        labels, query_x = _flat(episode.support_y), episode.query_x
        if training:
            if noise is None:
                noise = self.draw_bits(episode, seed, first_task)
            if not isinstance(noise, Noise):
                noise = noise_from_bits(self.config, episode, noise)
            classifier, kl, encoder_penalty = self._adapt_stochastic(episode.support_x, labels, noise)
            query_x = dropout(query_x, noise.query_mask, self.config.dropout_rate)
        else:
            classifier = self._adapt_deterministic(episode.support_x, labels)
            kl = encoder_penalty = tf.zeros_like(classifier[:, 0, 0])
        logits, labels = self.classify(_flat(query_x), classifier), _flat(episode.query_y)
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
        """Return the weighted L2 and orthogonality penalties, a scalar (paper equation 7)."""
        l2 = self.config.l2_penalty_weight * objective.l2_penalty(self.matrices)
        return l2 + self.config.orthogonality_penalty_weight * objective.orthogonality_penalty(self.decoder.kernel)

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
        return self._adapt_deterministic(support_x, _flat(tf.convert_to_tensor(support_y, tf.int32)))

    def adapt_unequal(self, support_x, support_y, ways=None):
        """Adapt, deterministically, to support sets given as lists: any order, any number of examples of each class.

        Where `adapt` averages over K shots, every class is averaged over its own examples: in its code, and in the
        inner loss, which is the sum over classes of their mean cross-entropy. So a class does not weigh more by having
        more examples, saying all of a class's twice changes nothing, and equal numbers give `adapt`.

        Args:
          support_x: embeddings [tasks, examples, dim].
          support_y: labels [tasks, examples] int, 0..ways-1; every class needs an example in every task. Not checked.
          ways: int or scalar tensor; default one more than the highest label.

        Returns:
          Classifier [tasks, ways, dim].

        References:
          Differs from the paper, which has K examples of every class.
        """
        support_x = tf.convert_to_tensor(support_x, self.compute_dtype)
        labels = tf.cast(support_y, tf.int32)
        ways = tf.reduce_max(labels) + 1 if ways is None else ways
        members = tf.one_hot(labels, ways, axis=1, dtype=support_x.dtype)  # [tasks, ways, examples]
        membership = tf.math.divide_no_nan(members, tf.reduce_sum(members, axis=2, keepdims=True))
        weights = tf.reduce_sum(membership, axis=1)  # of the examples, 1 / K of their class
        latents, _ = self.encoder.unequal(support_x, membership)
        return self._adapt_means(latents, support_x, labels, 1.0, lambda losses: tf.reduce_sum(weights * losses))

    def classify(self, query_x, classifier):
        """Return logits [tasks, queries, ways] of query_x [tasks, queries, dim] under classifier [tasks, ways, dim]."""
        return tf.matmul(tf.convert_to_tensor(query_x, classifier.dtype), classifier, transpose_b=True)

    def call(self, episode):
        """Adapt to an episode's support and return the logits of its queries, [tasks, ways * queries, ways]."""
        episode = Episode(*episode)
        return self.classify(_flat(episode.query_x), self.adapt(episode.support_x, episode.support_y))

    def _adapt_stochastic(self, support_x, labels, noise):
        """Return (classifier [tasks, ways, dim], kl [tasks], encoder penalty [tasks]); labels [tasks, examples].

        Each class has one sampled code for each of its K support examples. The K weight vectors that they decode to are
        averaged, which equals averaging their logits; each follows the gradient of that average, 1/K of the class's.

        Differs from the paper: there, one code a class. This is the official code's way, which its published
        hyper-parameters belong to.
        """
        config, shots = self.config, support_x.shape[2]

        def support(use):
            return dropout(support_x, noise.support_mask(use), config.dropout_rate)

        def decode(latents, step):
            # The mean weights are linear in the codes, so that the average over copies may be taken first.
            mean = self.decoder.mean(tf.reduce_mean(latents, axis=2))
            stddev = self.decoder.stddev(latents, ways=support_x.shape[1])
            return mean + tf.reduce_mean(stddev * noise.weights[:, step], axis=2)

        def loss(classifier, step):
            return tf.reduce_sum(objective.cross_entropy(self.classify(_flat(support(1 + step)), classifier), labels))

        mean, stddev = (moment[:, :, tf.newaxis] for moment in self.encoder(support(0)))
        initial = gaussian.sample(mean, stddev, noise.latents)
        adapted, classifier = self._adapt(initial, decode, loss, 1.0, 1.0 / shots)
        kl = tf.reduce_mean(gaussian.sampled_kl(mean, stddev, noise.latents), axis=[1, 2, 3])
        return classifier, kl, objective.encoder_penalty(initial, adapted)

    def _adapt_deterministic(self, support_x, labels):
        """Return the classifier [tasks, ways, dim]: means instead of samples, no dropout.

        The K copies of the stochastic pass would all be equal, so that one stands for them, moving at 1/K the rate.
        """
        pace = 1.0 / tf.cast(tf.shape(support_x)[2], self.compute_dtype)
        latents, _ = self.encoder(support_x)
        return self._adapt_means(latents, _flat(support_x), labels, pace)

    def _adapt_means(self, latents, examples, labels, pace, total=tf.reduce_sum):
        """Return the classifier [tasks, ways, dim] that the codes' means lead to, at `pace` of the learned rates.

        Mean weights are linear in the codes, K z: the latent steps score x . K z as (K^T x) . z, without decoding.

        Args:
          latents: [tasks, ways, num_latents].
          examples: embeddings [tasks, examples, dim].
          labels: [tasks, examples].
          pace: what the learned rates are multiplied by.
          total: function from losses [tasks, examples] to the scalar that the steps descend.
        """

        def loss_on(inputs):
            return lambda weights, step: total(objective.cross_entropy(self.classify(inputs, weights), labels))

        latents = adaptation.descend(
            latents,
            loss_on(self.decoder.project(examples)),
            pace * tf.convert_to_tensor(self.latent_learning_rate),
            self.config.inner_unroll_length,
        )
        return adaptation.descend(
            self.decoder.mean(latents),
            loss_on(examples),
            pace * tf.convert_to_tensor(self.finetuning_learning_rate),
            self.config.finetuning_unroll_length,
        )

    def _adapt(self, latents, decode, loss, latent_pace, finetuning_pace):
        return adaptation.adapt(
            latents,
            decode,
            loss,
            latent_pace * tf.convert_to_tensor(self.latent_learning_rate),
            self.config.inner_unroll_length,
            finetuning_pace * tf.convert_to_tensor(self.finetuning_learning_rate),
            self.config.finetuning_unroll_length,
        )

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
        if not self.compiled:  # saving, pickling or copying a model that was never compiled
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


def _flat(tensor):
    """Join the axes of classes and examples: [tasks, ways, n, ...] -> [tasks, ways * n, ...]."""
    shape = tf.shape(tensor)
    return tf.reshape(tensor, tf.concat([shape[:1], [shape[1] * shape[2]], shape[3:]], axis=0))
