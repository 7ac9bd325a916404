"""LEO for few-shot classification: encoder, decoder and the two inner loops in one Keras model."""

import keras
import tensorflow as tf

from leo_tf import adaptation, objective
from leo_tf.classification.learner import join_examples
from leo_tf.classification.noise import NoiseSpec, dropout, prior_codes
from leo_tf.classification.prototypes import PrototypeStart
from leo_tf.errors import InputError
from leo_tf.layers import StochasticDecoder, StochasticEncoder, distributions
from leo_tf.learners import AdaptationOutput, LatentLearner, Trace


@keras.saving.register_keras_serializable(package="leo_tf")
class LEO(LatentLearner, PrototypeStart):
    """Latent embedding optimization over fixed embeddings (Rusu et al., ICLR 2019).

    For class n of a task, with support set D, encoder g_e, relation network g_r and decoder g_d:

        z_n ~ q(z_n | D) = N(mu, diag(sigma^2)),  (mu, sigma) = mean over pairs of g_r(g_e(x_n), g_e(x_m))    (3)
        w_n ~ p(w_n | z_n) = N(mu, diag(sigma^2)),  (mu, sigma) = g_d(z_n)                                      (4)
        z <- z - alpha dL/dz, then w <- w - beta dL/dw,  L = sum over D of -w_y.x + log sum_n exp(w_n.x)          (5)
        minimise  L(queries) + kl_weight KL(q || N(0, I)) + encoder_penalty_weight |stop(z') - z|^2 + R            (6)

    The rates alpha and beta are learned, one for each dimension; R is `regularization`. `adapt` does (3) to (5) with
    means, `meta_loss` all of it with samples.

    The weights know neither ways nor shots: a model trained on 5-way 1-shot tasks adapts to 20-way 3-shot ones. Seven
    trainable variables, there from construction on; three with codes_from="prior", which has no encoder.

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

    def __init__(self, config=None, embedding_dim=640, seed=None, **kwargs):
        super().__init__(config, embedding_dim, **kwargs)
        policy, latents, dim = self.dtype_policy, self.config.num_latents, self.feature_dim
        self.encoder = None
        if self.config.codes_from == "encoder":
            self.encoder = StochasticEncoder(latents, name="encoder", dtype=policy)
            self.encoder.build((None, None, None, dim))
        self.decoder = StochasticDecoder(dim, name="decoder", dtype=policy)
        self.decoder.build((None, None, None, latents))
        self.add_learning_rates(dim)
        self.add_prototype_start()
        self.drops_queries = self.config.query_dropout != "none"
        if self.config.query_dropout == "easy":
            self.drops_queries = self.add_weight(name="drops_queries", shape=(), initializer="ones", trainable=False)
        self.built = True
        if seed is not None:
            self.initialize(seed)
        self.start_fine_tuning_at(self.config.finetuning_lr_init)
        if self.config.decoder_init == "zero":
            # Not of the spread's columns: the orthogonality penalty has no gradient where a whole row is zero.
            kernel = tf.convert_to_tensor(self.decoder.kernel)
            self.decoder.kernel.assign(tf.concat([tf.zeros_like(kernel[:, :dim]), kernel[:, dim:]], axis=1))

    def encode(self, support_x):
        """Encode support sets (paper equation 3).

        Args:
          support_x: embeddings [tasks, ways, shots, dim].

        Returns:
          tfp distribution q(z | support), batch shape [tasks, ways], event shape [num_latents].

        Raises:
          InputError: codes_from="prior", which has no encoder.
        """
        if self.encoder is None:
            raise InputError('This LEO has codes_from="prior" and no encoder; expected codes_from="encoder".')
        return self.encoder(tf.convert_to_tensor(support_x, self.compute_dtype))

    def decode(self, latents):
        """Decode latent codes (paper equation 4).

        Args:
          latents: [tasks, ways, num_latents].

        Returns:
          tfp distribution p(w | z), batch shape [tasks, ways], event shape [dim]: of weight vectors.
        """
        latents = tf.convert_to_tensor(latents, self.compute_dtype)
        return self.decoder(latents, initial_stddev=self._initial_stddev(latents.shape[1]))

    def _initial_stddev(self, ways):
        """Return the spread that decoded weights start with: of a Glorot-initialised [ways, dim] classifier."""
        return distributions.glorot_stddev(ways, self.feature_dim)

    def noise_spec(self, shots):
        """Return the noise.NoiseSpec of a pass over tasks of `shots` support examples a class."""
        config = self.config
        return NoiseSpec(
            num_latents=config.num_latents if config.stochastic else 0,
            copies=config.copies(shots),
            decodes=config.inner_unroll_length + 1,
            steps=config.inner_unroll_length + config.finetuning_unroll_length,
            dropout_rate=config.dropout_rate,
        )

    def adapt_in_training(self, support_x, support_y, noise):
        """Return AdaptationOutput, with classifiers [tasks, ways, dim]; see MetaLearner.

        Each class has one sampled code for each of its K support examples. The K weight vectors that they decode to are
        averaged, which equals averaging their logits; each follows the gradient of that average, 1/K of the class's.

        Differs from the paper: there, one code a class (codes_per_class="class"). This is the official code's way,
        which its published hyper-parameters belong to.

        The paper leaves open what its ablations do with the other terms. Ours: without stochasticity nothing is sampled
        for the KL, which is zero; dropout and the encoder penalty stay. Codes from the prior have neither term: their
        KL to it is zero, and there is no encoder to draw to where they went; dropout and sampled weights stay.
        """
        config, copies = self.config, self.config.copies(support_x.shape[2])
        spread = self._initial_stddev(support_x.shape[1])
        start = self.prototypes(tf.reduce_mean(support_x, axis=2))

        def support(use):
            return dropout(support_x, noise.support_mask(use), config.dropout_rate)

        def decode(latents, step):
            # The mean weights are linear in the codes, so that the average over copies may be taken first.
            mean = start + self.decoder.mean(tf.reduce_mean(latents, axis=2))
            if not config.stochastic:
                return mean
            stddev = self.decoder(latents, initial_stddev=spread).stddev()
            return mean + tf.reduce_mean(stddev * noise.weights[:, step], axis=2)

        kl = penalty = tf.zeros_like(support_x[:, 0, 0, 0])
        if self.encoder is None:
            initial = noise.latents
        else:
            posterior = self.encoder(support(0))[:, :, tf.newaxis]  # one for all copies
            initial = distributions.sample_at(posterior, noise.latents) if config.stochastic else posterior.mean()
        path = adaptation.adapt(
            initial,
            decode,
            self.support_loss(lambda step: support(1 + step), support_y),
            # Where one code stands for K equal ones, it moves at their pace.
            initial.shape[2] / copies * tf.convert_to_tensor(self.latent_learning_rate),
            config.inner_unroll_length,
            1.0 / copies * tf.convert_to_tensor(self.finetuning_learning_rate),
            config.finetuning_unroll_length,
            config.first_order,
        )
        if self.encoder is not None:
            penalty = objective.encoder_penalty(initial, path.latents[-1])
            if config.stochastic:
                kl = self.kl(posterior, noise.latents)
        return AdaptationOutput(path.parameters[-1], kl, penalty)

    def adapt_in_evaluation(self, support_x, support_y):
        """Return the classifier [tasks, ways, dim]: means instead of samples, no dropout.

        The K copies of the stochastic pass would all be equal, so that one stands for them, moving at 1/K the rate.
        """
        return self._path_of_means(support_x, support_y).parameters[-1]

    def trace(self, support_x, support_y):
        """Return the Trace of mean codes; see MetaLearner."""
        path, start = self._path_of_means(support_x, support_y), self.prototypes(tf.reduce_mean(support_x, axis=2))
        decoded = [start + self.decoder.mean(latents) for latents in path.latents[:-1]]
        return Trace(tf.stack(path.latents), tf.stack([*decoded, *path.parameters]))

    def _path_of_means(self, support_x, support_y):
        multiplier = 1.0 / tf.cast(self.config.copies(tf.shape(support_x)[2]), self.compute_dtype)
        if self.encoder is None:
            tasks, ways = tf.shape(support_x)[0], tf.shape(support_x)[1]
            latents = prior_codes(tasks, ways, self.config.num_latents, multiplier)
        else:
            latents = self.encoder(support_x).mean()
        start = self.prototypes(tf.reduce_mean(support_x, axis=2))
        return self._adapt_means(latents, start, join_examples(support_x), join_examples(support_y), multiplier)

    def adapt_imbalanced(self, support_x, support_y, ways=None):
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
        counts = tf.reduce_sum(members, axis=2, keepdims=True)
        membership = tf.math.divide_no_nan(members, counts)
        codes = tf.cast(self.config.copies(counts), support_x.dtype)
        if self.encoder is None:
            tasks = tf.shape(support_x)[0]
            latents = prior_codes(tasks, ways, self.config.num_latents, tf.math.reciprocal_no_nan(codes))
        else:
            latents = self.encoder.imbalanced(support_x, membership).mean()
        # With one code a class, `adapt` descends the sum over its K examples: K times their mean.
        scale = tf.reduce_mean(counts / codes, axis=[1, 2])[:, tf.newaxis]
        weights = scale * tf.reduce_sum(membership, axis=1)
        start = self.prototypes(tf.matmul(membership, support_x))
        path = self._adapt_means(latents, start, support_x, labels, 1.0, lambda losses: tf.reduce_sum(weights * losses))
        return path.parameters[-1]

    def _adapt_means(self, latents, start, examples, labels, rate_multiplier, total=tf.reduce_sum):
        """Return the adaptation.Path that the codes' means lead along.

        Mean weights are linear in the codes, K z: the latent steps score x . K z as (K^T x) . z, without decoding.

        Args:
          latents: [tasks, ways, num_latents].
          start: from `prototypes`.
          examples: embeddings [tasks, examples, dim].
          labels: [tasks, examples].
          rate_multiplier: what the learned rates are multiplied by.
          total: function from losses [tasks, examples] to the scalar that the steps descend.
        """

        def loss_on(inputs, offset=0.0):
            def loss(weights, step):
                logits = self.tempered(self.classify(inputs, weights) + offset)
                return total(objective.cross_entropy(logits, labels))

            return loss

        has_start = self.prototype_log_scale is not None
        codes = adaptation.descend(
            latents,
            loss_on(self.decoder.project(examples), self.classify(examples, start) if has_start else 0.0),
            rate_multiplier * tf.convert_to_tensor(self.latent_learning_rate),
            self.config.inner_unroll_length,
            self.config.first_order,
        )
        classifiers = adaptation.descend(
            start + self.decoder.mean(codes[-1]),
            loss_on(examples),
            rate_multiplier * tf.convert_to_tensor(self.finetuning_learning_rate),
            self.config.finetuning_unroll_length,
            self.config.first_order,
        )
        return adaptation.Path(codes, classifiers)
