"""ProtoLEO: LEO that corrects the classifier of PLDA, for tasks of any ways and shots. Beyond the paper."""

import dataclasses
import logging
import math
from typing import Any

import keras
import tensorflow as tf

from leo_tf.classification.grid import interpolate_by_shots
from leo_tf.classification.learner import Noise, NoiseSpec, join_examples
from leo_tf.classification.leo import LEO
from leo_tf.classification.plda_classifier import plda_classifier, plda_log_ratios
from leo_tf.classification.proto_leo_init import FIT_SHOTS, InitializationData, choose, fit_scale_at
from leo_tf.classification.softmax_fit import corrected
from leo_tf.config import AUTO, ProtoLEOConfig
from leo_tf.data.episodes import Episode
from leo_tf.errors import InputError
from leo_tf.layers import distributions
from leo_tf.learners import AdaptationOutput, Trace
from leo_tf.problem import Initialization
from leo_tf.transforms import fit_plda, principal_scatter
from leo_tf.transforms.layer import LearnedPlda

_CORRECTION_PENALTY = 0.01  # factor of |M|^2 in the objective
_SCALE, _SUPPORT_TEMPERATURE = 10.0, 8.0  # initial values

_logger = logging.getLogger("leo_tf")


@keras.saving.register_keras_serializable(package="leo_tf")
class ProtoLEO(LEO):
    """LEO whose initial classifier is that of PLDA, which serves any number of classes and examples.

    1. Embeddings are brought into the axes of PLDA; a correction of these axes is meta-learned.
    2. `plda_classifier` gives each class its weights and bias, from the mean and the number of its examples.
    3. With `latent_codes`, LEO's encoder, decoder and latent steps correct them. Decoded means start at zero.
    4. Instead of fine-tuning steps, weights are added that minimise the support's loss under an L2 penalty, to
       convergence. Meta-training leaves this out.

    `initialize`, which train.py calls before training, fits PLDA and chooses the settings that are "auto".

    Args:
      config: LEOConfig.
      proto_config: ProtoLEOConfig.
      embedding_dim: dimensions of an embedding.
      seed: int, of the initial weights; None leaves them to Keras' global seed.

    References:
      Proto-MAML (Triantafillou et al., ICLR 2020, section 3.3) starts MAML's classifier from class means.

    Example:
      >>> table = leo_tf.EmbeddingTable.load("", "glyphs", "test")
      >>> episode = leo_tf.EpisodeSampler(table, ways=5, shots=1, queries=15).sample(seed=0, first_task=0, num_tasks=4)
      >>> model = leo_tf.ProtoLEO(embedding_dim=table.dim, seed=0)
      >>> model.adapt(episode.support_x, episode.support_y).shape  # the last column is the bias
      TensorShape([4, 5, 129])
    """

    algorithm = "ProtoLEO"
    has_bias = True
    learns_features = True
    has_unknown = True
    # Latent steps move codes to where noise happens to fit the support; expm1 would let its spread grow without bound.
    weights_stddev = staticmethod(distributions.bounded_exponential)

    def __init__(
        self,
        config: Any = None,
        proto_config: ProtoLEOConfig | None = None,
        embedding_dim: int = 640,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.proto_config = proto_config or ProtoLEOConfig()
        if not isinstance(self.proto_config, ProtoLEOConfig):
            raise InputError(f"ProtoLEO got a {type(proto_config).__name__}; expected a ProtoLEOConfig.")
        self.has_latents = self.proto_config.latent_codes
        super().__init__(config, embedding_dim, seed, **kwargs)
        self.feature_transform = self.plda = LearnedPlda(embedding_dim, name="plda", dtype=self.dtype_policy)
        self.log_scale = self._add_logarithm("log_scale", _SCALE)
        if self.has_latents:
            self.support_log_temperature = self._add_logarithm("support_log_temperature", _SUPPORT_TEMPERATURE)
        self.fit_log_scales = self._add_logarithm("fit_log_scales", _SCALE, (len(FIT_SHOTS),), trainable=False)

    def _add_logarithm(self, name: str, value: float, shape: tuple[int, ...] = (), trainable: bool = True) -> Any:
        """Create a variable that is the logarithm of a number, so that a step of Adam changes it by a factor."""
        initial = keras.initializers.Constant(math.log(value))
        return self.add_weight(name=name, shape=shape, initializer=initial, trainable=trainable)

    def add_codes(self) -> None:
        if self.has_latents:
            super().add_codes()
            self._decode_to_zero_means()
        else:
            self.encoder = self.decoder = None

    def initialize_weights(self, seed: int) -> None:
        super().initialize_weights(seed)
        if self.has_latents:
            self._decode_to_zero_means()

    def _decode_to_zero_means(self) -> None:
        """Zero the decoder's means, not the standard deviations: the orthogonality penalty has no gradient at zero."""
        kernel = tf.convert_to_tensor(self.decoder.kernel)
        means = self.feature_dim
        self.decoder.kernel.assign(tf.concat([tf.zeros_like(kernel[:, :means]), kernel[:, means:]], axis=1))

    def add_learning_rates(self, num_parameters: int) -> None:
        self.latent_learning_rate = self.add_learning_rate(
            "latent_learning_rate", (self.config.num_latents,), self.config.inner_lr_init
        )

    @property
    def learning_rates(self) -> list[Any]:
        return [self.latent_learning_rate] if self.has_latents else []

    @property
    def regularized_weights(self) -> list[Any]:
        return super().regularized_weights if self.has_latents else []

    @property
    def scales(self) -> list[Any]:
        """The correction of PLDA and the logarithms of its variances, of the scale and of the support's temperature."""
        scales = [self.plda.correction, self.plda.log_variances, self.log_scale]
        return [*scales, self.support_log_temperature] if self.has_latents else scales

    @property
    def fixed_variables(self) -> list[Any]:
        return [self.plda.mean, self.plda.axes, self.plda.metric, self.fit_log_scales]

    @property
    def inner_steps(self) -> tuple[int, int]:
        return self.config.inner_unroll_length if self.has_latents else 0, 1

    @property
    def configs(self) -> list[Any]:
        return [self.config, self.proto_config]

    @property
    def feature_dim(self) -> int:
        return self.embedding_dim + 1

    def features(self, embeddings: Any) -> tf.Tensor:
        return _with_one(self.plda(embeddings))

    def episode_features(self, episode: Episode) -> Episode:
        support, query = (_with_one(self.plda.fixed_part(x)) for x in (episode.support_x, episode.query_x))
        return episode._replace(support_x=support, query_x=query)

    def training_table(self, table: Any) -> Any:
        rows = [_with_one(self.plda.fixed_part(tf.constant(part))) for part in _parts(table.embeddings)]
        return dataclasses.replace(table, embeddings=tf.concat(rows, 0).numpy(), source=f"{table.source}, transformed")

    def feature_table(self, table: Any) -> Any:
        rows = _with_one(tf.constant(self.plda.fitted.apply(table.embeddings))).numpy()
        return dataclasses.replace(table, embeddings=rows, source=f"{table.source}, transformed")

    def initialize(self, data: InitializationData, previous: Initialization | None = None) -> Initialization:
        """Fit PLDA and choose the settings that are "auto"; see `ClassificationLearner.initialize`.

        Duplicate rows of a class count once.
        """
        rows, data = data.training.num_rows, data.without_duplicates()
        if rows > data.training.num_rows:
            left_out = rows - data.training.num_rows
            _logger.info("Left %d duplicate rows of training classes out of PLDA's fit.", left_out)
        if previous is None:
            plda, *found = choose(self.proto_config, data)
            previous = Initialization(*found)
        else:
            values = {**dataclasses.asdict(self.proto_config), **previous.chosen}
            scatter = principal_scatter(data.training.embeddings, data.training.class_sizes)
            plda = fit_plda(scatter, values["within_class_shrinkage"]).shrunk(values["between_class_shrinkage"])
        self.plda.set_fitted(plda)
        fixed = self.proto_config.fit_scale
        scale = _SCALE if fixed == AUTO else fixed
        scales = [float(previous.chosen.get(fit_scale_at(shots), scale)) for shots in FIT_SHOTS]
        self.fit_log_scales.assign([math.log(scale) for scale in scales])
        return previous

    def meta_loss_on_features(self, episode: Episode, *args: Any, **kwargs: Any) -> Any:
        support, query = (_with_one(self.plda.learned_part(x[..., :-1])) for x in (episode.support_x, episode.query_x))
        return super().meta_loss_on_features(episode._replace(support_x=support, query_x=query), *args, **kwargs)

    def regularization(self) -> tf.Tensor:
        correction = self.plda.correction_scale * tf.convert_to_tensor(self.plda.correction)
        of_codes = super().regularization() if self.has_latents else 0.0
        return of_codes + _CORRECTION_PENALTY * tf.reduce_sum(correction**2)

    def initial_classifier(self, class_means: tf.Tensor, counts: Any) -> tf.Tensor:
        metric, scale = (tf.convert_to_tensor(each) for each in (self.plda.metric, self.log_scale))
        return plda_classifier(class_means[..., :-1], counts, self.plda.variances, metric, tf.exp(scale))

    def log_ratios(self, support_x: tf.Tensor, support_y: tf.Tensor, ways: Any) -> tf.Tensor:
        """Return `plda_log_ratios` of a support set of features; arguments as for `adapt_imbalanced_features`."""
        _, counts, means = _classes(support_x, support_y, ways)
        metric, scale = (tf.convert_to_tensor(each) for each in (self.plda.metric, self.log_scale))
        return plda_log_ratios(means[..., :-1], counts, self.plda.variances, metric, tf.exp(scale))

    def support_logits(self, logits: tf.Tensor) -> tf.Tensor:
        """Divide by a temperature: a support example is part of its own class mean, and its loss next to nothing."""
        return logits * tf.exp(-tf.convert_to_tensor(self.support_log_temperature))

    def fine_tune(self, parameters: tf.Tensor, loss: Any, rate_multiplier: Any = 1.0) -> list[tf.Tensor]:
        return [parameters]  # what follows is not a loss's descent: see `_fit`

    def noise_spec(self, shots: int) -> NoiseSpec:
        spec = super().noise_spec(shots)
        if not self.has_latents:
            return spec._replace(num_latents=0, dropout_rate=0.0)
        return spec._replace(codes_per_class=1, steps=self.config.inner_unroll_length)

    def adapt_in_training(self, support_x: tf.Tensor, support_y: tf.Tensor, noise: Noise) -> AdaptationOutput:
        if self.has_latents:
            return super().adapt_in_training(support_x, support_y, noise)
        return self.without_penalties(self.initial_classifier(tf.reduce_mean(support_x, axis=2), support_x.shape[2]))

    def adapt_in_evaluation(self, support_x: tf.Tensor, support_y: tf.Tensor) -> tf.Tensor:
        return self.trace(support_x, support_y).parameters[-1]

    def trace(self, support_x: tf.Tensor, support_y: tf.Tensor) -> Trace:
        shape = tf.shape(support_x)
        if self.has_latents:
            found = super().trace(support_x, support_y)
        else:
            found = Trace(None, self.initial_classifier(tf.reduce_mean(support_x, axis=2), shape[2])[tf.newaxis])
        weights = tf.ones([shape[0], shape[1] * shape[2]], support_x.dtype)
        examples, labels = join_examples(support_x), join_examples(support_y)
        fitted = self._fit(found.parameters[-1], examples, labels, weights, tf.cast(shape[2], support_x.dtype))
        return Trace(found.latents, tf.concat([found.parameters, fitted[tf.newaxis]], axis=0))

    def adapt_imbalanced_features(self, support_x: tf.Tensor, support_y: tf.Tensor, ways: Any) -> tf.Tensor:
        members, counts, means = _classes(support_x, support_y, ways)
        if self.has_latents:
            classifier = super().adapt_imbalanced_features(support_x, support_y, ways)
        else:
            classifier = self.initial_classifier(means, counts)
        mean_count = tf.reduce_mean(counts, axis=1)
        weights = tf.einsum("twe,tw->te", members, tf.math.divide_no_nan(mean_count[:, tf.newaxis], counts))
        return self._fit(classifier, support_x, support_y, weights, mean_count)

    def _fit(
        self, classifier: tf.Tensor, features: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, shots: tf.Tensor
    ) -> tf.Tensor:
        """Add the weights that minimise the support's loss, in which each class counts as `shots` examples."""
        if not self.proto_config.fit_penalty:
            return classifier
        log_scale = interpolate_by_shots(tf.reshape(shots, [-1, 1, 1]), FIT_SHOTS, self.fit_log_scales)
        scaled = classifier * tf.exp(log_scale - tf.convert_to_tensor(self.log_scale))
        targets = tf.one_hot(labels, tf.shape(classifier)[1], dtype=features.dtype)
        return corrected(scaled, features[..., :-1], targets, weights, self.proto_config.fit_penalty)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "proto_config": dataclasses.asdict(self.proto_config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ProtoLEO":
        return super().from_config({**config, "proto_config": ProtoLEOConfig(**config["proto_config"])})


def _classes(support_x: tf.Tensor, support_y: tf.Tensor, ways: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the members [tasks, ways, examples], their counts [tasks, ways] and their means [tasks, ways, dim]."""
    members = tf.one_hot(support_y, ways, axis=1, dtype=support_x.dtype)
    counts = tf.reduce_sum(members, axis=2)
    return members, counts, tf.math.divide_no_nan(tf.matmul(members, support_x), counts[..., tf.newaxis])


def _with_one(features: tf.Tensor) -> tf.Tensor:
    """Append a coordinate that is always 1, for the bias."""
    return tf.concat([features, tf.ones_like(features[..., :1])], axis=-1)


def _parts(rows: Any, at_once: int = 65_536) -> Any:
    return (rows[first : first + at_once] for first in range(0, len(rows), at_once))
