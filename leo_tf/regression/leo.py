"""LEO for few-shot regression: one latent code per task, decoded to a whole network."""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from leo_tf import adaptation, objective, randomness
from leo_tf.config import RegressionConfig
from leo_tf.layers import StochasticDecoder, StochasticEncoder, distributions
from leo_tf.learners import AdaptationOutput, LatentLearner, Trace
from leo_tf.regression import candidates, network
from leo_tf.regression.learner import RegressionLearner

INPUT_SCALE = 5.0  # inputs reach 5, targets 18; the encoder sees both over this


@keras.saving.register_keras_serializable(package="leo_tf")
class RegressionLEO(LatentLearner, RegressionLearner):
    """Latent embedding optimization of a network on one-dimensional regression (paper section 4.1).

    Encoder: a perceptron on the pairs (x, y), then the relation network over all pairs of support points, averaged to
    one Gaussian over codes. Decoder: a perceptron from the code to a Gaussian over all parameters of the network.

    Left open by the paper: standard deviations are exp(u), times `weight_spread` and Glorot's standard
    deviation for a decoded weight. With `biases`, the last one of the decoder starts at a freshly initialised network,
    so that decoding starts as a small change of a network that can learn, as hypernetworks do.
    Differs from the paper: biases (its perceptrons have none), the encoder's inputs divided by 5, clipping of the inner
    gradient, since squared errors grow without bound; and in configs/regression.cfg, no fine-tuning steps.

    Args:
      config: LEOConfig; dropout_rate, codes_from and codes_per_class are not used.
      regression: RegressionConfig.
      seed: int, of the initial weights; None leaves them to Keras' global seed.
    """

    def __init__(
        self, config: Any = None, regression: RegressionConfig | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(config, regression, **kwargs)
        sizes, latents = self.regression, self.config.num_latents
        options: dict[str, Any] = {
            "use_bias": sizes.biases,
            "to_stddev": distributions.scaled_exponential,
            "dtype": self.dtype_policy,
        }
        self.encoder = StochasticEncoder(
            latents,
            [sizes.encoder_units] * (sizes.encoder_layers - 1),
            sizes.relation_units,
            initial_stddev=sizes.code_spread,
            components=sizes.code_components,
            name="encoder",
            **options,
        )
        self.encoder.build((None, 1, None, 2))
        self.decoder = StochasticDecoder(
            self.num_parameters, [sizes.decoder_units] * (sizes.decoder_layers - 1), name="decoder", **options
        )
        self.decoder.build((None, latents))
        self.add_learning_rates(self.num_parameters)
        self.built = True
        if seed is not None:
            self.initialize_weights(seed)

    @property
    def normals_per_task(self) -> int:
        """One number for every latent and for every parameter in every decode, of each candidate.

        With several candidates, one more number, before these, chooses among them.
        """
        if not self.config.stochastic:
            return 0
        return (self.regression.candidates > 1) + self.regression.candidates * self._normals_per_code

    @property
    def _normals_per_code(self) -> int:
        decodes = self.config.inner_unroll_length + 1 if self.regression.weight_spread else 0
        return self.config.num_latents + decodes * self.num_parameters

    @property
    def is_mixture(self) -> bool:
        """Whether codes come from a mixture of Gaussians."""
        return self.regression.code_components > 1

    def initialize_weights(self, seed: int) -> None:
        super().initialize_weights(seed)
        if self.regression.biases:
            start = network.initial_parameters(randomness.stream_seed(seed, randomness.INITIAL_NETWORK), self.units)
            self.decoder.biases[-1].assign(tf.concat([start, tf.zeros_like(start)], axis=0))

    def encode(self, support_x: tf.Tensor, support_y: tf.Tensor) -> Any:
        """Return q(z | support), batch shape [tasks], of support points [tasks, shots, 1] (paper equation 3)."""
        points = tf.concat([support_x, support_y], axis=2) / INPUT_SCALE
        posterior = self.encoder(points[:, tf.newaxis])
        if not self.is_mixture:
            return posterior[:, 0]
        # tfp does not slice a mixture whose shape is known only when it runs.
        each = posterior.components_distribution
        each = distributions.gaussian(each.mean()[:, 0], each.stddev()[:, 0])
        return distributions.mixture(posterior.mixture_distribution.logits[:, 0], each)

    def decode(self, latents: tf.Tensor) -> Any:
        """Return p(theta | z), batch shape [tasks], of latent codes [tasks, num_latents] (paper equation 4)."""
        glorot = tf.constant(network.glorot_stddev(self.units), latents.dtype)
        return self.decoder(latents, initial_stddev=self.regression.weight_spread * glorot)

    def adapt_in_training(self, support_x: tf.Tensor, support_y: tf.Tensor, noise: tf.Tensor) -> AdaptationOutput:
        return self._adapt_candidates(support_x, support_y, noise, self.regression.candidate_temperature)

    def _adapt_candidates(
        self, support_x: tf.Tensor, support_y: tf.Tensor, noise: tf.Tensor, temperature: float
    ) -> AdaptationOutput:
        """Return AdaptationOutput with a network for each candidate of each sample, weighted at a temperature."""
        if not self.config.stochastic:
            path = self._path_of_means(support_x, support_y)
            penalty = objective.encoder_penalty(path.latents[0], path.latents[-1])
            return AdaptationOutput(path.parameters[-1], tf.zeros_like(penalty), penalty)
        posterior = self.encode(support_x, support_y)
        count = self.regression.candidates
        tasks, samples = support_x.shape[0], noise.shape[0] // support_x.shape[0]
        of_codes = noise[:, self.normals_per_task - count * self._normals_per_code : self.normals_per_task]
        of_latents, of_weights = tf.split(
            tf.reshape(of_codes, [-1, self._normals_per_code]), [self.config.num_latents, -1], axis=1
        )
        if self.is_mixture:
            drawn = candidates.of_mixture(posterior, samples, count)
        else:
            drawn = candidates.of_gaussian(posterior, tasks, samples, count)
        every = samples * count
        if every > 1:
            support_x, support_y = (tf.repeat(values, every, axis=0) for values in (support_x, support_y))
        initial = distributions.sample_at(drawn.distribution, of_latents)
        path = self._adapt(initial, support_x, support_y, self._decode_with(of_weights))
        kl, penalty = self.kl(drawn.distribution, of_latents), objective.encoder_penalty(initial, path.latents[-1])
        if every == 1:
            return AdaptationOutput(path.parameters[-1], kl, penalty)
        kl = tf.reshape(kl, drawn.log_shares.shape)
        # A component's share stands in the density of its candidates.
        kl += (drawn.log_shares + math.log(count)) / self.config.num_latents
        kl, penalty = (
            tf.reduce_sum(tf.exp(drawn.log_shares) * tf.reshape(each, kl.shape), axis=[1, 2]) / samples
            for each in (kl, penalty)
        )
        weights = self._weights(drawn, support_x, support_y, path, temperature)
        return AdaptationOutput(path.parameters[-1], kl, penalty, weights)

    def _weights(
        self, drawn: Any, support_x: tf.Tensor, support_y: tf.Tensor, path: adaptation.Trajectory, temperature: float
    ) -> tf.Tensor:
        """Return the probabilities of each sample's candidates, from their shares and their fit to the support."""
        if not temperature:
            return tf.exp(drawn.log_shares)
        errors = tf.math.squared_difference(self.predict_at(support_x, path.parameters[-1]), support_y)
        log_likelihood = tf.reduce_sum(errors, axis=[1, 2]) / (-2 * self.regression.noise_stddev**2)
        fit = tf.reshape(log_likelihood, drawn.log_shares.shape)
        fit -= tf.stop_gradient(tf.reduce_max(fit, axis=2, keepdims=True))  # else all -inf near a temperature of 0
        return tf.nn.softmax(drawn.log_shares + fit / temperature, axis=2)

    def sample_with(self, support_x: tf.Tensor, support_y: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Return one network for each task [tasks, num_parameters], of the candidate that the first number chooses."""
        temperature = self.regression.sampling_temperature or self.regression.candidate_temperature
        adapted = self._adapt_candidates(support_x, support_y, noise, temperature)
        if adapted.weights is None:
            return adapted.parameters
        return candidates.chosen(adapted.parameters, adapted.weights[:, 0], noise[:, 0])

    def adapt_in_evaluation(self, support_x: tf.Tensor, support_y: tf.Tensor) -> tf.Tensor:
        return self._path_of_means(support_x, support_y).parameters[-1]

    def trace(self, support_x: tf.Tensor, support_y: tf.Tensor) -> Trace:
        path = self._path_of_means(support_x, support_y)
        decoded = [self.decoder.mean(latents) for latents in path.latents[:-1]]
        return Trace(tf.stack(path.latents), tf.stack([*decoded, *path.parameters]))

    def _path_of_means(self, support_x: tf.Tensor, support_y: tf.Tensor) -> adaptation.Trajectory:
        posterior = self.encode(support_x, support_y)
        initial = (candidates.likeliest(posterior) if self.is_mixture else posterior).mean()
        return self._adapt(initial, support_x, support_y, self._decode_means)

    def _decode_with(self, of_weights: tf.Tensor) -> Callable:
        if not self.regression.weight_spread:
            return self._decode_means
        of_weights = tf.reshape(of_weights, [-1, self.config.inner_unroll_length + 1, self.num_parameters])
        return lambda latents, step: distributions.sample_at(self.decode(latents), of_weights[:, step])

    def _decode_means(self, latents: tf.Tensor, step: int) -> tf.Tensor:
        return self.decoder.mean(latents)

    def _adapt(
        self, latents: tf.Tensor, support_x: tf.Tensor, support_y: tf.Tensor, decode: Callable
    ) -> adaptation.Trajectory:
        return adaptation.adapt(
            latents,
            decode,
            self.support_loss(support_x, support_y),
            self.fine_tune,
            tf.convert_to_tensor(self.latent_learning_rate),
            self.config.inner_unroll_length,
            self.config.first_order,
            self.config.inner_gradient_norm_threshold,
        )
