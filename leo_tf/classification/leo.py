"""LEO for few-shot classification: encoder, decoder and the two inner loops in one Keras model."""

import keras
import tensorflow as tf

from leo_tf import adaptation, objective, randomness
from leo_tf.classification.learner import ClassificationLearner, join_examples
from leo_tf.classification.noise import dropout
from leo_tf.config import LEOConfig
from leo_tf.layers import StochasticDecoder, StochasticEncoder, gaussian


@keras.saving.register_keras_serializable(package="leo_tf")
class LEO(ClassificationLearner):
    """Latent embedding optimization over fixed embeddings (Rusu et al., ICLR 2019).

    The weights know neither ways nor shots: a model trained on 5-way 1-shot tasks adapts to 20-way 3-shot ones. Seven
    trainable variables, there from construction on; three with codes_from="prior", which has no encoder.

    Args:
      config: LEOConfig.
      embedding_dim: dimensions of an embedding.
      seed: int, of the initial weights; None leaves them to Keras' global seed.

    Example:
      >>> model = leo_tf.LEO(leo_tf.LEOConfig(), embedding_dim=640)
      >>> classifier = model.adapt(support_x, support_y)
      >>> logits = model.classify(query_x, classifier)
    """

    algorithm = "LEO"

    def __init__(self, config=None, embedding_dim=640, seed=None, **kwargs):
        super().__init__(config or LEOConfig(), embedding_dim, **kwargs)
        policy = self.dtype_policy
        self.encoder = None
        if self.config.codes_from == "encoder":
            self.encoder = StochasticEncoder(self.config.num_latents, name="encoder", dtype=policy)
            self.encoder.build((None, None, None, embedding_dim))
        self.decoder = StochasticDecoder(embedding_dim, name="decoder", dtype=policy)
        self.decoder.build((None, None, None, self.config.num_latents))
        self.latent_learning_rate = self.add_learning_rate("latent", self.config.num_latents, self.config.inner_lr_init)
        self.finetuning_learning_rate = self.add_learning_rate(
            "finetuning", embedding_dim, self.config.finetuning_lr_init
        )
        self.built = True
        if seed is not None:
            self.initialize(seed)

    @property
    def matrices(self):
        """The weight matrices: the trainable variables that are not learning rates."""
        encoder = [self.encoder.projection, *self.encoder.relation.kernels] if self.encoder is not None else []
        return [*encoder, self.decoder.kernel]

    @property
    def learning_rates(self):
        """The meta-learned learning rates of the latent and of the fine-tuning steps."""
        return [self.latent_learning_rate, self.finetuning_learning_rate]

    def regularization(self):
        """Return the weighted L2 and orthogonality penalties, a scalar (paper equation 7)."""
        l2 = self.config.l2_penalty_weight * objective.l2_penalty(self.matrices)
        return l2 + self.config.orthogonality_penalty_weight * objective.orthogonality_penalty(self.decoder.kernel)

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
        counts = tf.reduce_sum(members, axis=2, keepdims=True)
        membership = tf.math.divide_no_nan(members, counts)
        codes = tf.cast(self.config.copies(counts), support_x.dtype)
        if self.encoder is None:
            latents = self._prior_codes(tf.shape(support_x)[0], ways, tf.math.reciprocal_no_nan(codes))
        else:
            latents, _ = self.encoder.unequal(support_x, membership)
        # With one code a class, `adapt` descends the sum over its K examples: K times their mean.
        pace = tf.reduce_mean(counts / codes, axis=[1, 2])[:, tf.newaxis]
        weights = pace * tf.reduce_sum(membership, axis=1)
        return self._adapt_means(latents, support_x, labels, 1.0, lambda losses: tf.reduce_sum(weights * losses))

    def adapt_in_training(self, support_x, labels, noise):
        """Return (classifier [tasks, ways, dim], kl [tasks], encoder penalty [tasks]); labels [tasks, examples].

        Each class has one sampled code for each of its K support examples. The K weight vectors that they decode to are
        averaged, which equals averaging their logits; each follows the gradient of that average, 1/K of the class's.

        Differs from the paper: there, one code a class (codes_per_class="class"). This is the official code's way,
        which its published hyper-parameters belong to.

        The paper leaves open what its ablations do with the other terms. Ours: without stochasticity nothing is sampled
        for the KL, which is zero; dropout and the encoder penalty stay. Codes from the prior have neither term: their
        KL to it is zero, and there is no encoder to draw to where they went; dropout and sampled weights stay.
        """
        config, copies = self.config, self.config.copies(support_x.shape[2])

        def support(use):
            return dropout(support_x, noise.support_mask(use), config.dropout_rate)

        def decode(latents, step):
            # The mean weights are linear in the codes, so that the average over copies may be taken first.
            mean = self.decoder.mean(tf.reduce_mean(latents, axis=2))
            if not config.stochastic:
                return mean
            stddev = self.decoder.stddev(latents, ways=support_x.shape[1])
            return mean + tf.reduce_mean(stddev * noise.weights[:, step], axis=2)

        def loss(classifier, step):
            logits = self.classify(join_examples(support(1 + step)), classifier)
            return tf.reduce_sum(objective.cross_entropy(logits, labels))

        kl = penalty = tf.zeros_like(support_x[:, 0, 0, 0])
        if self.encoder is None:
            initial = noise.latents
        else:
            mean, stddev = (moment[:, :, tf.newaxis] for moment in self.encoder(support(0)))
            initial = gaussian.sample(mean, stddev, noise.latents) if config.stochastic else mean
        adapted, classifier = adaptation.adapt(
            initial,
            decode,
            loss,
            # Where one code stands for K equal ones, it moves at their pace.
            initial.shape[2] / copies * tf.convert_to_tensor(self.latent_learning_rate),
            config.inner_unroll_length,
            1.0 / copies * tf.convert_to_tensor(self.finetuning_learning_rate),
            config.finetuning_unroll_length,
            config.first_order,
        )
        if self.encoder is not None:
            penalty = objective.encoder_penalty(initial, adapted)
            if config.stochastic:
                kl = tf.reduce_mean(gaussian.sampled_kl(mean, stddev, noise.latents), axis=[1, 2, 3])
        return classifier, kl, penalty

    def adapt_in_evaluation(self, support_x, labels):
        """Return the classifier [tasks, ways, dim]: means instead of samples, no dropout.

        The K copies of the stochastic pass would all be equal, so that one stands for them, moving at 1/K the rate.
        """
        pace = 1.0 / tf.cast(self.config.copies(tf.shape(support_x)[2]), self.compute_dtype)
        if self.encoder is None:
            latents = self._prior_codes(tf.shape(support_x)[0], tf.shape(support_x)[1], pace)
        else:
            latents, _ = self.encoder(support_x)
        return self._adapt_means(latents, join_examples(support_x), labels, pace)

    def _prior_codes(self, tasks, ways, variance):
        """Return the codes from the prior that evaluation starts from, [tasks, ways, num_latents].

        Ours, as the paper does not say: the prior's mean, 0, decodes to the same weights for every class, from where
        no gradient separates codes by what a code means; so class n of every task has the same fixed draw, a function
        of n alone. The mean of K draws is a draw at 1/sqrt(K) the spread.

        Args:
          tasks, ways: ints or scalar tensors.
          variance: of the codes, one over the codes of a class; broadcasts against [tasks, ways, 1].
        """
        seed = randomness.stream_seed(0, randomness.PRIOR_CODES)
        codes = randomness.normal(
            randomness.bits(seed, 0, ways, self.config.num_latents, tf.uint16), self.compute_dtype
        )
        return tf.broadcast_to(tf.sqrt(variance) * codes, [tasks, ways, self.config.num_latents])

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
            self.config.first_order,
        )
        return adaptation.descend(
            self.decoder.mean(latents),
            loss_on(examples),
            pace * tf.convert_to_tensor(self.finetuning_learning_rate),
            self.config.finetuning_unroll_length,
            self.config.first_order,
        )
