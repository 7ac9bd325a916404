"""LEO for few-shot regression: one latent code a task, decoded to a whole network."""

import keras
import tensorflow as tf

from leo_tf import adaptation, objective, randomness
from leo_tf.config import LEOConfig
from leo_tf.layers import Perceptron, RelationNetwork, gaussian
from leo_tf.regression import network
from leo_tf.regression.learner import RegressionLearner

INPUT_SCALE = 5.0  # inputs reach 5, targets 18; the encoder sees both over this


@keras.saving.register_keras_serializable(package="leo_tf")
class RegressionLEO(RegressionLearner):
    """Latent embedding optimization of a network on one-dimensional regression (paper section 4.1).

    Encoder: a perceptron on the pairs (x, y), then the relation network over all pairs of support points, averaged to
    one Gaussian over codes. Decoder: a perceptron from the code to a Gaussian over all parameters of the network.

    Ours, as the paper gives no more: standard deviations are exp(u), times `weight_spread` and Glorot's standard
    deviation for a decoded weight. With `biases`, the last one of the decoder starts at a freshly initialised network,
    so that decoding starts as a small change of a network that can learn, as hypernetworks do.
    Differs from the paper: biases (its perceptrons have none), the encoder's inputs divided by 5, a limit to the inner
    gradient, since squared errors grow without bound; and in configs/regression.cfg, no fine-tuning steps.

    Args:
      config: LEOConfig; dropout_rate, codes_from and codes_per_class are not used.
      regression: RegressionConfig.
      seed: int, of the initial weights; None leaves them to Keras' global seed.
    """

    algorithm = "LEO"

    def __init__(self, config=None, regression=None, seed=None, **kwargs):
        super().__init__(config or LEOConfig(), regression, **kwargs)
        sizes, latents = self.regression, self.config.num_latents
        options = {"use_bias": sizes.biases, "dtype": self.dtype_policy}
        self.encoder = Perceptron(
            [sizes.encoder_units] * (sizes.encoder_layers - 1) + [latents], name="encoder", **options
        )
        self.encoder.build((None, 2))
        self.relation = RelationNetwork(2 * latents, sizes.relation_units, name="relation", dtype=self.dtype_policy)
        self.relation.build((None, 1, None, latents))
        self.decoder = Perceptron(
            [sizes.decoder_units] * (sizes.decoder_layers - 1) + [2 * self.num_parameters], name="decoder", **options
        )
        self.decoder.build((None, latents))
        self.latent_learning_rate = self.add_learning_rate("latent", latents, self.config.inner_lr_init)
        self.finetuning_learning_rate = self.add_learning_rate(
            "finetuning", self.num_parameters, self.config.finetuning_lr_init
        )
        self.built = True
        if seed is not None:
            self.initialize(seed)

    @property
    def matrices(self):
        """The trainable variables that are not learning rates: kernels and biases."""
        layers = [*self.encoder.kernels, *self.relation.kernels, *self.decoder.kernels]
        return [*layers, *self.encoder.biases, *self.decoder.biases]

    @property
    def learning_rates(self):
        """The meta-learned learning rates of the latent and of the fine-tuning steps."""
        return [self.latent_learning_rate, self.finetuning_learning_rate]

    @property
    def normals_per_task(self):
        """One for every latent, and for every parameter in every decode."""
        if not self.config.stochastic:
            return 0
        return self.config.num_latents + (self.config.inner_unroll_length + 1) * self.num_parameters

    def initialize(self, seed):
        """Draw the initial weights, the same on every replica."""
        super().initialize(seed)
        if self.regression.biases:
            start = network.initial_parameters(randomness.stream_seed(seed, randomness.INITIAL_NETWORK), self.units)
            self.decoder.biases[-1].assign(tf.concat([start, tf.zeros_like(start)], axis=0))

    def regularization(self):
        """Return the weighted L2 and orthogonality penalties, a scalar; the latter of the decoder's last kernel."""
        weight = self.config.orthogonality_penalty_weight
        orthogonality = weight * objective.orthogonality_penalty(self.decoder.kernels[-1]) if weight else 0.0
        return super().regularization() + orthogonality

    def encode(self, support_x, support_y):
        """Return mean and standard deviation [tasks, num_latents] of the code of support points [tasks, shots, 1]."""
        points = tf.concat([support_x, support_y], axis=2) / INPUT_SCALE
        codes = self.relation(self.encoder(points)[:, tf.newaxis])[:, 0]
        return gaussian.split_mean_stddev(codes, offset=1.0)

    def decode(self, latents, normals=None):
        """Return parameters [tasks, num_parameters] of codes [tasks, num_latents]: means, or sampled with normals."""
        mean, raw = tf.split(self.decoder(latents), 2, axis=1)
        if normals is None:
            return mean
        spread = self.regression.weight_spread * tf.constant(network.glorot_stddev(self.units), mean.dtype)
        return gaussian.sample(mean, spread * gaussian.to_stddev(raw, offset=1.0), normals)

    def adapt_in_training(self, support_x, support_y, normals):
        """Return (parameters [tasks, num_parameters], kl [tasks], encoder penalty [tasks]), with noise."""
        mean, stddev = self.encode(support_x, support_y)
        if not self.config.stochastic:
            latents, parameters = self._adapt(mean, support_x, support_y, lambda step: None)
            return parameters, tf.zeros_like(mean[:, 0]), self._penalty(mean, latents)
        of_latents, of_weights = tf.split(normals, [self.config.num_latents, -1], axis=1)
        of_weights = tf.reshape(of_weights, [-1, self.config.inner_unroll_length + 1, self.num_parameters])
        initial = gaussian.sample(mean, stddev, of_latents)
        latents, parameters = self._adapt(initial, support_x, support_y, lambda step: of_weights[:, step])
        kl = tf.reduce_mean(gaussian.sampled_kl(mean, stddev, of_latents), axis=1)
        return parameters, kl, self._penalty(initial, latents)

    def adapt_in_evaluation(self, support_x, support_y):
        """Return the parameters [tasks, num_parameters] of the mean code through mean decodes."""
        mean, _ = self.encode(support_x, support_y)
        return self._adapt(mean, support_x, support_y, lambda step: None)[1]

    def _adapt(self, latents, support_x, support_y, normals):
        return adaptation.adapt(
            latents,
            lambda codes, step: self.decode(codes, normals(step)),
            self.support_loss(support_x, support_y),
            tf.convert_to_tensor(self.latent_learning_rate),
            self.config.inner_unroll_length,
            tf.convert_to_tensor(self.finetuning_learning_rate),
            self.config.finetuning_unroll_length,
            self.config.first_order,
            self.config.inner_gradient_norm_threshold,
        )

    @staticmethod
    def _penalty(initial, adapted):
        return objective.encoder_penalty(*(codes[:, tf.newaxis, tf.newaxis] for codes in (initial, adapted)))
