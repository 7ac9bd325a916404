"""What LEO of both problems shares: encoder and decoder, learned rates, the penalties of the meta-objective."""

import dataclasses

import tensorflow as tf

from leo_tf import objective
from leo_tf.config import LEOConfig
from leo_tf.layers import distributions
from leo_tf.learners.meta_learner import MetaLearner

_KL = {
    "sampled": distributions.sampled_kl,
    "analytic": lambda posterior, noise: distributions.analytic_kl(posterior),
}


class LatentLearner(MetaLearner):
    """Latent embedding optimization.

    A subclass creates `encoder`, which may be None, `decoder`, and calls `add_learning_rates`.
    """

    algorithm = "LEO"
    config_type = LEOConfig

    @property
    def inner_steps(self):
        """How many latent and how many fine-tuning steps adaptation takes."""
        return self.config.inner_unroll_length, self.config.finetuning_unroll_length

    def config_of_steps(self, latent_steps, finetuning_steps):
        """Return the configuration with other numbers of steps."""
        return dataclasses.replace(
            self.config, inner_unroll_length=latent_steps, finetuning_unroll_length=finetuning_steps
        )

    @property
    def matrices(self):
        """Kernels, then biases, of the encoder and of the decoder."""
        layers = [layer for layer in (self.encoder, self.decoder) if layer is not None]
        return [*(k for layer in layers for k in layer.kernels), *(b for layer in layers for b in layer.biases)]

    @property
    def learning_rates(self):
        """The meta-learned learning rates of the latent and of the fine-tuning steps."""
        return [self.latent_learning_rate, self.finetuning_learning_rate]

    def add_learning_rates(self, num_parameters):
        """Create a learning rate for every latent dimension, and one for each of `num_parameters`."""
        self.latent_learning_rate = self.add_learning_rate(
            "latent_learning_rate", (self.config.num_latents,), self.config.inner_lr_init
        )
        self.finetuning_learning_rate = self.add_learning_rate(
            "finetuning_learning_rate", (num_parameters,), self.config.finetuning_lr_init
        )

    def regularization(self):
        """Return the weighted L2 and orthogonality penalties, a scalar; the latter of the decoder's last kernel.

        References:
          Paper equation 7.
        """
        weight = self.config.orthogonality_penalty_weight
        orthogonality = weight * objective.orthogonality_penalty(self.decoder.kernel) if weight else 0.0
        return super().regularization() + orthogonality

    def penalties(self, adapted):
        """Return the weighted KL and encoder penalty, [tasks] (paper equation 6)."""
        return self.config.kl_weight * adapted.kl + self.config.encoder_penalty_weight * adapted.encoder_penalty

    def kl(self, posterior, noise):
        """Return KL(q || N(0, I)) a latent dimension, averaged over the codes of each task, [tasks].

        Args:
          posterior: distribution over codes, batch shape [tasks, ...].
          noise: what the codes were sampled with, [tasks, ..., num_latents].
        """
        by_code = _KL[self.config.kl](posterior, noise)
        return tf.reduce_mean(by_code, axis=range(1, by_code.shape.rank)) / self.config.num_latents
