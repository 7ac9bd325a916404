"""LEO for few-shot classification: encoder, decoder and the two inner loops in one Keras model."""

from typing import Any

import keras
import tensorflow as tf

from leo_tf import adaptation, objective
from leo_tf.classification.learner import ClassificationLearner, Noise, NoiseSpec, class_members, dropout, join_examples
from leo_tf.errors import InputError
from leo_tf.layers import StochasticDecoder, StochasticEncoder, distributions
from leo_tf.learners import AdaptationOutput, LatentLearner, Trace


@keras.saving.register_keras_serializable(package="leo_tf")
class LEO(LatentLearner, ClassificationLearner):
    """Latent embedding optimization over fixed embeddings (Rusu et al., ICLR 2019).

    For class n of a task, with support set D, encoder g_e, relation network g_r and decoder g_d:

        z_n ~ q(z_n | D) = N(mu, diag(sigma^2)),  (mu, sigma) = mean over pairs of g_r(g_e(x_n), g_e(x_m))    (3)
        w_n ~ p(w_n | z_n) = N(mu, diag(sigma^2)),  (mu, sigma) = g_d(z_n)                                      (4)
        z <- z - alpha dL/dz, then w <- w - beta dL/dw,  L = sum over D of -w_y.x + log sum_n exp(w_n.x)          (5)
        minimise  L(queries) + kl_weight KL(q || N(0, I)) + encoder_penalty_weight |stop(z') - z|^2 + R            (6)

    The rates alpha and beta are learned, one per dimension; R is `regularization`. `adapt` does (3) to (5) with means,
    `meta_loss` all of it with samples. The weights depend on neither ways nor shots: a model trained on 5-way 1-shot
    tasks adapts to 20-way 3-shot ones.

    Args:
      config: LEOConfig.
      embedding_dim: dimensions of an embedding.
      seed: int, of the initial weights; None leaves them to Keras' global seed.

    Example:
      >>> import leo_tf
      >>> table = leo_tf.EmbeddingTable.load("", "glyphs", "test")
      >>> episode = leo_tf.EpisodeSampler(table, ways=5, shots=1, queries=15).sample(seed=0, first_task=0, num_tasks=4)
      >>> model = leo_tf.LEO(leo_tf.LEOConfig(), embedding_dim=table.dim, seed=0)
      >>> model.encode(episode.support_x).batch_shape
      TensorShape([4, 5])
      >>> classifier = model.adapt(episode.support_x, episode.support_y)
      >>> model.classify(episode.query_x[:, 0], classifier).shape
      TensorShape([4, 15, 5])
    """

    exportable = True
    weights_stddev = staticmethod(distributions.shifted_exponential)  # of the decoder; see StochasticDecoder

    def __init__(self, config: Any = None, embedding_dim: int = 640, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(config, embedding_dim, **kwargs)
        self.add_codes()
        self.built = True
        if seed is not None:
            self.initialize_weights(seed)

    def add_codes(self) -> None:
        """Create encoder, decoder and learning rates."""
        latents, dim = self.config.num_latents, self.feature_dim
        self.encoder = None
        if self.config.codes_from == "encoder":
            self.encoder = StochasticEncoder(latents, name="encoder", dtype=self.dtype_policy)
            self.encoder.build((None, None, None, dim))
        self.decoder = StochasticDecoder(dim, to_stddev=self.weights_stddev, name="decoder", dtype=self.dtype_policy)
        self.decoder.build((None, None, None, latents))
        self.add_learning_rates(dim)

    def encode(self, support_x: Any) -> Any:
        """Encode support sets [tasks, ways, shots, embedding_dim]: q(z | D), event shape [num_latents] (equation 3).

        Raises:
          InputError: codes_from="prior", which has no encoder.
        """
        if self.encoder is None:
            raise InputError("This LEO has no encoder (codes_from=prior); expected codes_from=encoder.", "codes_from")
        return self.encoder(self.features(keras.ops.convert_to_tensor(support_x, self.compute_dtype)))

    def decode(self, latents: Any) -> Any:
        """Decode latent codes [tasks, ways, num_latents]: p(w | z), with event shape [dim] (paper equation 4)."""
        latents = keras.ops.convert_to_tensor(latents, self.compute_dtype)
        stddev_at_zero = distributions.glorot_stddev(latents.shape[1], self.feature_dim)  # of an initial classifier
        return self.decoder(latents, initial_stddev=stddev_at_zero)

    def codes_per_class(self, shots: Any) -> Any:
        """Return the number of codes of a class of `shots` examples; see `adapt_in_training`."""
        return shots if self.config.codes_per_class == "example" else 1

    def initial_classifier(self, class_means: tf.Tensor, counts: Any) -> Any:
        """Return the classifier that decoded weights are added to; none here.

        Class means are [tasks, ways, dim]; the counts of examples a scalar, or [tasks, ways].
        """
        return 0.0

    def noise_spec(self, shots: int) -> NoiseSpec:
        latent_steps, finetuning_steps = self.inner_steps
        num_latents = self.config.num_latents if self.config.stochastic else 0
        codes, steps = self.codes_per_class(shots), latent_steps + finetuning_steps
        return NoiseSpec(num_latents, codes, latent_steps + 1, steps, self.config.dropout_rate)

    def adapt_in_training(self, support_x: tf.Tensor, support_y: tf.Tensor, noise: Noise) -> AdaptationOutput:
        """Return AdaptationOutput with classifiers [tasks, ways, dim]; see MetaLearner.

        Each class has one sampled code for each of its K support examples. The K decoded weight vectors are
        averaged, which is the same as averaging their logits, so that each receives 1/K of the gradient.

        Differs from the paper, which samples one code per class (codes_per_class="class"). K codes are the official
        code's way, and the published hyperparameters were tuned with them.

        The paper leaves open what its ablations (table 2) do with the other terms. Here, the deterministic one samples
        nothing for the KL, which is zero, and keeps dropout and the encoder penalty. The one with codes from the prior
        has neither KL nor encoder penalty, and keeps dropout and sampled weights.
        """
        config, codes = self.config, self.codes_per_class(support_x.shape[2])
        stddev_at_zero = distributions.glorot_stddev(support_x.shape[1], self.feature_dim)
        start = self.initial_classifier(tf.reduce_mean(support_x, axis=2), tf.shape(support_x)[2])

        def support(use: int) -> tf.Tensor:
            return dropout(support_x, noise.support_mask(use), config.dropout_rate)

        def decode(latents: tf.Tensor, step: int) -> tf.Tensor:
            # The mean weights are linear in the codes, so that the average over a class's codes may be taken first.
            mean = start + self.decoder.mean(tf.reduce_mean(latents, axis=2))
            if not config.stochastic:
                return mean
            stddev = self.decoder(latents, initial_stddev=stddev_at_zero).stddev()
            return mean + tf.reduce_mean(stddev * noise.weights[:, step], axis=2)

        kl = penalty = tf.zeros_like(support_x[:, 0, 0, 0])
        if self.encoder is None:
            initial = noise.latents
        else:
            posterior = self.encoder(support(0))[:, :, tf.newaxis]  # one for all codes of a class
            initial = distributions.sample_at(posterior, noise.latents) if config.stochastic else posterior.mean()
        trajectory = adaptation.adapt(
            initial,
            decode,
            self.support_loss(lambda step: support(1 + step), support_y),
            lambda classifier, loss: self.fine_tune(classifier, loss, 1.0 / codes),
            # Where one code stands for K equal ones, it moves at their pace.
            initial.shape[2] / codes * tf.convert_to_tensor(self.latent_learning_rate),
            config.inner_unroll_length,
            config.first_order,
        )
        if self.encoder is not None:
            penalty = objective.encoder_penalty(initial, trajectory.latents[-1])
            if config.stochastic:
                kl = self.kl(posterior, noise.latents)
        return AdaptationOutput(trajectory.parameters[-1], kl, penalty)

    def adapt_in_evaluation(self, support_x: tf.Tensor, support_y: tf.Tensor) -> tf.Tensor:
        return self._adapt_means(support_x, support_y).parameters[-1]

    def trace(self, support_x: tf.Tensor, support_y: tf.Tensor) -> Trace:
        trajectory = self._adapt_means(support_x, support_y)
        start = self.initial_classifier(tf.reduce_mean(support_x, axis=2), tf.shape(support_x)[2])
        decoded = [start + self.decoder.mean(latents) for latents in trajectory.latents[:-1]]
        return Trace(tf.stack(trajectory.latents), tf.stack([*decoded, *trajectory.parameters]))

    def _adapt_means(self, support_x: tf.Tensor, support_y: tf.Tensor) -> adaptation.Trajectory:
        """Adapt the means of codes and weights, without dropout; one code stands for K equal ones, at 1/K the rate."""
        rate = 1.0 / tf.cast(self.codes_per_class(tf.shape(support_x)[2]), self.compute_dtype)
        if self.encoder is None:
            latents = self.prior_codes(tf.shape(support_x)[0], tf.shape(support_x)[1], rate)
        else:
            latents = self.encoder(support_x).mean()
        start = self.initial_classifier(tf.reduce_mean(support_x, axis=2), tf.shape(support_x)[2])
        return self._descend_means(latents, start, join_examples(support_x), join_examples(support_y), 1.0, rate)

    def adapt_imbalanced_features(
        self, support_x: tf.Tensor, support_y: tf.Tensor, ways: Any, sample_weight: Any = None
    ) -> tf.Tensor:
        members = class_members(support_x, support_y, ways, sample_weight)
        counts = tf.reduce_sum(members, axis=2, keepdims=True)
        membership = tf.math.divide_no_nan(members, counts)
        codes = tf.cast(self.codes_per_class(counts), support_x.dtype)
        if self.encoder is None:
            latents = self.prior_codes(tf.shape(support_x)[0], ways, tf.math.reciprocal_no_nan(codes))
        else:
            latents = self.encoder.imbalanced(support_x, membership).mean()
        # With one code per class, `adapt` descends the sum over its K examples: K times their mean.
        scale = tf.reduce_mean(counts / codes, axis=[1, 2])[:, tf.newaxis]
        weights = scale * tf.reduce_sum(membership, axis=1)
        start = self.initial_classifier(tf.matmul(membership, support_x), counts[..., 0])
        labels = tf.maximum(support_y, 0)  # absent examples have no weight, but a label that exists
        return self._descend_means(latents, start, support_x, labels, weights, 1.0).parameters[-1]

    def _descend_means(
        self, latents: tf.Tensor, start: Any, features: tf.Tensor, labels: tf.Tensor, weights: Any, rate: Any
    ) -> adaptation.Trajectory:
        """Adapt codes [tasks, ways, num_latents] to features [tasks, examples, dim] whose losses have `weights`.

        Mean weights are linear in the codes, K z: the latent steps compute x . K z as (K^T x) . z, without decoding.
        """
        projected = self.decoder.project(features)
        offset = self.logits(features, start) if tf.is_tensor(start) else start

        def total(logits: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(weights * objective.cross_entropy(self.support_logits(logits), labels))

        return adaptation.adapt(
            latents,
            lambda codes, step: start + self.decoder.mean(codes),
            lambda classifier, step: total(self.logits(features, classifier)),
            lambda classifier, loss: self.fine_tune(classifier, loss, rate),
            rate * tf.convert_to_tensor(self.latent_learning_rate),
            self.config.inner_unroll_length,
            self.config.first_order,
            latent_loss=lambda codes, step: total(self.logits(projected, codes) + offset),
        )
