"""Meta-learners for regression: adapt a network to a task's support points, measured by squared error on queries."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from leo_tf import randomness
from leo_tf.config import RegressionConfig
from leo_tf.errors import InputError
from leo_tf.learners.meta_learner import AdaptationOutput, MetaLearner, noise_seed
from leo_tf.regression import losses, network
from leo_tf.regression.episodes import RegressionEpisode


class RegressionLossOutput(NamedTuple):
    """Terms of the meta-objective on one meta-batch; the outer loop minimises `loss`."""

    loss: tf.Tensor  # scalar: mean over tasks of query loss and weighted penalties, plus regularization
    query_loss: tf.Tensor  # [tasks], mean squared error of the noisy queries, or the training_loss
    kl: tf.Tensor  # [tasks], nats per latent dimension
    encoder_penalty: tf.Tensor  # [tasks]
    regularization: tf.Tensor  # scalar


class RegressionLearner(MetaLearner):
    """A model that adapts the network f_theta to few points.

    A subclass creates its variables in its constructor and has `regularized_weights`, `learning_rates`,
    `adapt_in_training`, `adapt_in_evaluation` and, if it is stochastic, `normals_per_task`. Its noise is a tensor of
    standard normal numbers [tasks, normals_per_task].
    """

    episode_type, outcome_type, metric_name = RegressionEpisode, RegressionLossOutput, "query_loss"

    def __init__(self, config: Any = None, regression: RegressionConfig | None = None, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.regression = regression or RegressionConfig()
        hidden = [self.regression.network_units] * (self.regression.network_layers - 1)
        self.units = (1, *hidden, 1)
        self.num_parameters = network.num_parameters(self.units)
        if not self.normals_per_task:
            self.regression.require_one_sample()

    @property
    def configs(self) -> list[Any]:
        return [self.config, self.regression]

    @property
    def normals_per_task(self) -> int:
        """Number of standard normal numbers that a stochastic pass takes per task."""
        return 0

    def draw_bits(self, episode: RegressionEpisode, seed: Any, first_task: Any = 0) -> tf.Tensor:
        count = self.regression.training_samples * (self.normals_per_task + self._query_normals(episode))
        return randomness.bits(noise_seed(seed), first_task, episode.support_x.shape[0], count, tf.uint16)

    def noise_from_bits(self, episode: RegressionEpisode, bits: tf.Tensor) -> tf.Tensor:
        """Return standard normal numbers [tasks * training_samples, numbers of one sample]; see MetaLearner."""
        normals = randomness.normal(bits, episode.support_x.dtype)
        if self.regression.training_samples == 1:
            return normals
        return tf.reshape(normals, [-1, self.normals_per_task + self._query_normals(episode)])

    def _query_normals(self, episode: RegressionEpisode) -> int:
        return episode.query_x.shape[1] if self.regression.training_loss == "energy_score" else 0

    def query_metrics(self, episode: RegressionEpisode, adapted: AdaptationOutput, noise: Any) -> dict[str, tf.Tensor]:
        """Return the query loss of an AdaptationOutput; see MetaLearner.

        The targets have noise, so for the energy score every sample gets its own, which its candidates share: then the
        score of the noisy values is best where the functions themselves have the right distribution. Without noise, as
        in validation, the loss is the squared error whatever the setting.
        """
        if adapted.weights is None:
            errors = tf.math.squared_difference(self.predict_at(episode.query_x, adapted.parameters), episode.query_y)
            return {"query_loss": tf.reduce_mean(errors, axis=[1, 2])}
        targets, (samples, candidates) = episode.query_y[..., 0], adapted.weights.shape[1:]
        x = tf.repeat(episode.query_x, samples * candidates, axis=0)
        values = tf.reshape(self.predict_at(x, adapted.parameters), [-1, samples, candidates, x.shape[1]])
        if self.regression.training_loss == "squared_error":
            return {"query_loss": losses.squared_error(values, targets, adapted.weights)}
        of_queries = tf.reshape(noise[:, self.normals_per_task :], [-1, samples, 1, x.shape[1]])
        values += self.regression.noise_stddev * of_queries
        if self.regression.score_width:
            flat = tf.reshape(values, [-1, samples * candidates, x.shape[1]])
            both = tf.concat([flat, targets[:, tf.newaxis]], axis=1)
            both = losses.smoothed(both, episode.query_x[..., 0], self.regression.score_width)
            values, targets = tf.reshape(both[:, :-1], [-1, samples, candidates, x.shape[1]]), both[:, -1]
        return {"query_loss": losses.energy_score(values, targets, adapted.weights)}

    def support_loss(self, support_x: tf.Tensor, support_y: tf.Tensor) -> Callable:
        """Return the function (parameters, step) -> sum over tasks of the mean squared error of the support."""

        def loss(parameters: tf.Tensor, step: int) -> tf.Tensor:
            errors = tf.math.squared_difference(self.predict_at(support_x, parameters), support_y)
            return tf.reduce_sum(tf.reduce_mean(errors, axis=[1, 2]))

        return loss

    def adapt(self, support_x: Any, support_y: Any) -> tf.Tensor:
        """Adapt to support points, deterministically.

        Args:
          support_x, support_y: [tasks, shots, 1].

        Returns:
          Parameters [tasks, num_parameters].

        Raises:
          InputError: another shape, or numbers that are not finite; these are checked in eager code only.
        """
        return self.adapt_in_evaluation(*self.checked_support(support_x, support_y))

    def sample(self, support_x: Any, support_y: Any, seed: Any = 0, first_task: Any = 0) -> tf.Tensor:
        """Adapt to support points [tasks, shots, 1] with noise; return a sample of parameters [tasks, num_parameters].

        It is fixed by the seed, an int or int64 [2] from `randomness.stream_seed`, and the index of the first task.
        """
        support_x, support_y = self.checked_support(support_x, support_y)
        bits = randomness.bits(noise_seed(seed), first_task, support_x.shape[0], self.normals_per_task, tf.uint16)
        return self.sample_with(support_x, support_y, randomness.normal(bits, support_x.dtype))

    def sample_with(self, support_x: tf.Tensor, support_y: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Return a sample of each task's parameters [tasks, num_parameters], from noise [tasks, normals_per_task]."""
        return self.adapt_in_training(support_x, support_y, noise).parameters

    def predict_at(self, query_x: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Return the networks' values [tasks, n, 1] at query_x [tasks, n, 1]; parameters [tasks, num_parameters]."""
        return network.apply(parameters, query_x, self.units)

    def call(self, episode: Any) -> tf.Tensor:
        """Adapt to a batch's support points and return the values at its queries, [tasks, queries, 1]."""
        episode = RegressionEpisode(*episode)
        return self.predict_at(episode.query_x, self.adapt(episode.support_x, episode.support_y))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "regression": dataclasses.asdict(self.regression)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return super().from_config({**config, "regression": RegressionConfig(**config["regression"])})

    def checked_support(self, support_x: Any, support_y: Any) -> list[tf.Tensor]:
        """Return support points as tensors of the model's dtype; raises as `adapt`."""
        support = [tf.convert_to_tensor(values, self.compute_dtype) for values in (support_x, support_y)]
        shapes = [values.shape for values in support]
        if shapes[0] != shapes[1] or shapes[0].rank != 3 or shapes[0][-1] != 1:
            raise InputError(
                f"support_x and support_y have shapes {tuple(shapes[0])} and {tuple(shapes[1])}; expected both "
                "[tasks, shots, 1]."
            )
        if tf.executing_eagerly() and not all(bool(tf.reduce_all(tf.math.is_finite(values))) for values in support):
            raise InputError("support_x or support_y holds NaN or infinity; expected finite numbers.")
        return support
