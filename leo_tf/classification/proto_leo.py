"""ProtoLEO: LEO that corrects a classifier of class prototypes, over transformed embeddings. Beyond the paper."""

import dataclasses
import math
from typing import Any

import keras
import tensorflow as tf

from leo_tf.classification.learner import Noise
from leo_tf.classification.leo import LEO
from leo_tf.classification.prototype_init import InitializationData, choose
from leo_tf.classification.prototypes import prototype_classifier
from leo_tf.config import AUTO, ProtoLEOConfig
from leo_tf.errors import InputError
from leo_tf.problem import Initialization
from leo_tf.transforms import fit_transform
from leo_tf.transforms.layer import FeatureTransform


@keras.saving.register_keras_serializable(package="leo_tf")
class ProtoLEO(LEO):
    """LEO whose initial classifier is made of class prototypes, the means of each class's support.

    Embeddings are transformed (PLDA by default). The decoded weights, whose means start at zero, are added to the
    scaled prototypes: LEO learns what to correct. Logits of the support are divided by a temperature in the inner
    losses, because a support example is part of its own prototype: at the scale that suits queries, the support's
    gradient would be next to nothing.

    `initialize`, which train.py calls before training, fits the transform and chooses the settings that are "auto".
    Until then the transform only scales to unit length, and these settings are 1.

    Args:
      config: LEOConfig.
      proto_config: ProtoLEOConfig.
      embedding_dim: dimensions of an embedding.
      seed: int, of the initial weights; None leaves them to Keras' global seed.

    References:
      Proto-MAML (Triantafillou et al., ICLR 2020, section 3.3) starts MAML's classifier from prototypes.

    Example:
      >>> table = leo_tf.EmbeddingTable.load("", "glyphs", "test")
      >>> episode = leo_tf.EpisodeSampler(table, ways=5, shots=1, queries=15).sample(seed=0, first_task=0, num_tasks=4)
      >>> model = leo_tf.ProtoLEO(embedding_dim=table.dim, seed=0)
      >>> model.adapt(episode.support_x, episode.support_y).shape  # the last column is the bias
      TensorShape([4, 5, 129])
    """

    algorithm = "ProtoLEO"

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
        self.has_bias = self.proto_config.prototype_bias > 0
        super().__init__(config, embedding_dim, seed, **kwargs)
        # Not the columns of the standard deviations: the orthogonality penalty has no gradient where a row is zero.
        kernel = tf.convert_to_tensor(self.decoder.kernel)
        means = self.feature_dim
        self.decoder.kernel.assign(tf.concat([tf.zeros_like(kernel[:, :means]), kernel[:, means:]], axis=1))
        proto = self.proto_config
        self.feature_transform = FeatureTransform(
            embedding_dim, proto.feature_transform, self.has_bias, name="feature_transform", dtype=self.dtype_policy
        )
        self.prototype_log_scale = self._add_logarithm("prototype_log_scale", _number(proto.prototype_scale))
        self.dimension_log_scales = None
        if proto.warmup_steps:
            self.dimension_log_scales = self._add_logarithm("dimension_log_scales", 1.0, (embedding_dim,))
        self.support_log_temperature = None
        if proto.support_temperature != 1:
            self.support_log_temperature = self._add_logarithm(
                "support_log_temperature", _number(proto.support_temperature)
            )
        drops = proto.query_dropout != "none"
        self.drops_queries = self.add_weight(
            name="drops_queries", shape=(), initializer=keras.initializers.Constant(float(drops)), trainable=False
        )
        self._set_finetuning_rate(self.config.finetuning_lr_init)

    def _add_logarithm(self, name: str, value: float, shape: tuple[int, ...] = ()) -> Any:
        """Create a variable that is the logarithm of a number, so that a step of Adam changes it by a factor."""
        return self.add_weight(name=name, shape=shape, initializer=keras.initializers.Constant(math.log(value)))

    @property
    def configs(self) -> list[Any]:
        return [self.config, self.proto_config]

    @property
    def feature_dim(self) -> int:
        return self.embedding_dim + self.has_bias

    def features(self, embeddings: Any) -> tf.Tensor:
        return self.feature_transform(embeddings)

    def feature_table(self, table: Any) -> Any:
        """Return an EmbeddingTable of features; its digest stays that of the data."""
        rows = self.feature_transform.apply(table.embeddings)
        return dataclasses.replace(table, embeddings=rows, source=f"{table.source}, transformed")

    @property
    def fixed_variables(self) -> list[Any]:
        return [self.feature_transform.mean, self.feature_transform.matrix, self.drops_queries]

    @property
    def scales(self) -> list[Any]:
        """Logarithms of the prototype scale and, unless it is fixed at 1, of the support temperature."""
        return [each for each in (self.prototype_log_scale, self.support_log_temperature) if each is not None]

    @property
    def warmup_steps(self) -> int:
        return self.proto_config.warmup_steps

    @property
    def warmup_variables(self) -> list[Any]:
        """Logarithms of per-dimension factors of the prototype scale."""
        return [] if self.dimension_log_scales is None else [self.dimension_log_scales]

    def initialize(self, data: InitializationData, previous: Initialization | None = None) -> Initialization:
        """Fit the transform and choose the settings that are "auto"; see `ClassificationLearner.initialize`."""
        proto, codes = self.proto_config, self.codes_per_class(data.shots)
        if previous is None:
            found = Initialization(*choose(proto, data, self.config.finetuning_unroll_length, codes))
        else:
            found = previous
        values = {**dataclasses.asdict(proto), **found.chosen}
        within, between = (_number(values[f"{name}_class_shrinkage"]) for name in ("within", "between"))
        training = data.training
        self.feature_transform.set_fitted(
            fit_transform(
                proto.feature_transform, training.embeddings, training.class_sizes, within, between, data.shots
            )
        )
        self.prototype_log_scale.assign(math.log(values["prototype_scale"]))
        self.drops_queries.assign(float(values["query_dropout"] != "none"))
        if self.support_log_temperature is not None:
            self.support_log_temperature.assign(math.log(_number(values["support_temperature"])))
        if "finetuning_lr_init" in found.chosen:
            self._set_finetuning_rate(values["finetuning_lr_init"], values["bias_finetuning_lr_init"])
        return found

    def _set_finetuning_rate(self, rate: float, bias_rate: float = 0.0) -> None:
        """Set the initial fine-tuning rates: of all dimensions, and of the bias, whose steps rarely help at first."""
        self.finetuning_learning_rate.assign([rate] * self.embedding_dim + [bias_rate] * self.has_bias)

    def initial_classifier(self, class_means: tf.Tensor) -> tf.Tensor:
        """Return the classifier of scaled prototypes, from class means of features [tasks, ways, dim]."""
        log_scale = tf.convert_to_tensor(self.prototype_log_scale)
        if self.dimension_log_scales is not None:
            log_scale += tf.convert_to_tensor(self.dimension_log_scales)
        return prototype_classifier(class_means, self.proto_config.prototype_bias, tf.exp(log_scale))

    def support_logits(self, logits: tf.Tensor) -> tf.Tensor:
        """Divide the support's logits by the temperature."""
        if self.support_log_temperature is None:
            return logits
        return logits * tf.exp(-tf.convert_to_tensor(self.support_log_temperature))

    def training_queries(self, query_x: tf.Tensor, noise: Noise | None) -> tf.Tensor:
        dropped = super().training_queries(query_x, noise)
        return dropped if noise is None else tf.where(tf.cast(self.drops_queries, tf.bool), dropped, query_x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "proto_config": dataclasses.asdict(self.proto_config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ProtoLEO":
        return super().from_config({**config, "proto_config": ProtoLEOConfig(**config["proto_config"])})


def _number(value: float | str) -> float:
    return 1.0 if isinstance(value, str) and value == AUTO else float(value)
