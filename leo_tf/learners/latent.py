"""Latent embedding optimization, as far as classification and regression share it."""

import dataclasses
from typing import Any

import tensorflow as tf

from leo_tf import adaptation, objective, randomness
from leo_tf.config import LEOConfig
from leo_tf.layers import distributions
from leo_tf.learners.meta_learner import AdaptationOutput, MetaLearner


class LatentLearner(MetaLearner):
    """A meta-learner that adapts latent codes of its parameters.

    A subclass creates `decoder` and `encoder`, which may be None, and calls `add_learning_rates`.
    """

    algorithm = "LEO"
    config_type = LEOConfig
    has_latents = True
    encoder: Any
    decoder: Any

    @property
    def inner_steps(self) -> tuple[int, int]:
        """Numbers of latent and of fine-tuning steps."""
        return self.config.inner_unroll_length, self.config.finetuning_unroll_length

    def config_of_steps(self, latent_steps: int, finetuning_steps: int) -> LEOConfig:
        """Return the configuration with other numbers of steps."""
        steps = {"inner_unroll_length": latent_steps, "finetuning_unroll_length": finetuning_steps}
        return dataclasses.replace(self.config, **steps)

    @property
    def regularized_weights(self) -> list[Any]:
        """Kernels, then biases, of the encoder and of the decoder."""
        layers = [layer for layer in (self.encoder, self.decoder) if layer is not None]
        return [*(k for layer in layers for k in layer.kernels), *(b for layer in layers for b in layer.biases)]

    @property
    def learning_rates(self) -> list[Any]:
        """Meta-learned learning rates of the latent and of the fine-tuning steps."""
        return [self.latent_learning_rate, self.finetuning_learning_rate]

    def add_learning_rates(self, num_parameters: int) -> None:
        """Create one learning rate per latent dimension, and one for each of `num_parameters`."""
        self.latent_learning_rate = self.add_learning_rate(
            "latent_learning_rate", (self.config.num_latents,), self.config.inner_lr_init
        )
        self.finetuning_learning_rate = self.add_learning_rate(
            "finetuning_learning_rate", (num_parameters,), self.config.finetuning_lr_init
        )

    def prior_codes(self, tasks: Any, ways: Any, variance: tf.Tensor) -> tf.Tensor:
        """Return the codes from the prior N(0, I) that evaluation starts from, [tasks, ways, num_latents].

        The paper leaves this open. The prior's mean, 0, decodes to the same weights for every class, and no gradient
        would separate them; so class n of every task has the same fixed draw, a function of n alone. The `variance` is
        one over the number of codes that are averaged, as the mean of K draws is a draw with variance 1/K.
        """
        num_latents, seed = self.config.num_latents, randomness.stream_seed(0, randomness.PRIOR_CODES)
        codes = randomness.normal(randomness.bits(seed, 0, ways, num_latents, tf.uint16), variance.dtype)
        return tf.broadcast_to(tf.sqrt(variance) * codes, [tasks, ways, num_latents])

    def fine_tune(self, parameters: tf.Tensor, loss: adaptation.Loss, rate_multiplier: Any = 1.0) -> list[tf.Tensor]:
        """Fine-tune decoded parameters [tasks, ...]; return them, then those after each step."""
        return adaptation.descend(
            parameters,
            loss,
            rate_multiplier * tf.convert_to_tensor(self.finetuning_learning_rate),
            self.config.finetuning_unroll_length,
            self.config.first_order,
            self.config.inner_gradient_norm_threshold,
        )

    def regularization(self) -> tf.Tensor:
        """Return the weighted L2 and orthogonality penalties, a scalar; the latter of the decoder's last kernel.

        References:
          Paper equation 7.
        """
        weight = self.config.orthogonality_penalty_weight
        orthogonality = weight * objective.orthogonality_penalty(self.decoder.kernel) if weight else 0.0
        return super().regularization() + orthogonality

    def penalties(self, adapted: AdaptationOutput) -> tf.Tensor:
        """Return the weighted KL and encoder penalty, [tasks] (paper equation 6)."""
        return self.config.kl_weight * adapted.kl + self.config.encoder_penalty_weight * adapted.encoder_penalty

    def kl(self, posterior: Any, noise: tf.Tensor) -> tf.Tensor:
        """Return KL(q || N(0, I)) per latent dimension, averaged over the codes of each task, [tasks].

        The posterior has batch shape [tasks, ...]; its codes were sampled with this noise, [tasks, ..., num_latents].
        """
        analytic = self.config.kl == "analytic"
        by_code = distributions.analytic_kl(posterior) if analytic else distributions.sampled_kl(posterior, noise)
        return tf.reduce_mean(by_code, axis=range(1, by_code.shape.rank)) / self.config.num_latents
