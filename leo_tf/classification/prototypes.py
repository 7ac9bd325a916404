"""Class prototypes as the start of a classifier: what is decoded is then a correction to nearest class mean."""

import math
from typing import Any

import keras
import tensorflow as tf

from leo_tf.classification.learner import ClassificationLearner
from leo_tf.classification.transform import FeatureTransform
from leo_tf.config import LEOConfig


def classifier_of(means, bias=0.0, scale=1.0):
    """Return class means as a linear classifier, less their mean over the classes: [tasks, ways, dim] -> the same.

    What all classes share moves no softmax.

    Args:
      means: of each class's support.
      bias: above 0 the last coordinate is a constant 1, and gets the weight -bias s |m|^2 / 2 of the others' mean m: at
        1 logits are those of squared Euclidean distance, -s |x - m|^2 / 2.
      scale: s, a scalar, or one for each of the other coordinates: squares are then weighed by it.

    References:
      Beyond the paper. Proto-MAML (Triantafillou et al., ICLR 2020, section 3.3) starts its classifier from prototypes,
      with this bias.
    """
    if bias:
        means = means[..., :-1]
    weights = scale * means
    if bias:
        weights = tf.concat([weights, -0.5 * bias * tf.reduce_sum(weights * means, axis=-1, keepdims=True)], axis=-1)
    return weights - tf.reduce_mean(weights, axis=1, keepdims=True)


class PrototypeStart(ClassificationLearner):
    """A learner whose classifiers may start from the class prototypes of transformed embeddings; off by default.

    What LEO has beyond the paper. A subclass calls `add_prototype_start` in its constructor, has a
    `finetuning_learning_rate`, adds `prototypes` to the weights it decodes and has the support's logits `tempered`.
    """

    prototype_log_scale: Any = None  # variables, where the configuration has them
    dimension_log_scales: Any = None  # of factors of this scale
    support_log_temperature: Any = None

    def add_prototype_start(self):
        """Create what the configuration has of: prototypes' scales, support's temperature, embedding transform."""
        config = self.config
        if config.prototype_residual:
            initial = config.prototype_scale or LEOConfig.prototype_scale
            self.prototype_log_scale = self._add_logarithm("prototype_log_scale", initial)
        if config.warmup_steps:
            self.dimension_log_scales = self._add_logarithm("dimension_log_scales", 1.0, (self.embedding_dim,))
        if config.support_temperature != 1:
            self.support_log_temperature = self._add_logarithm(
                "support_log_temperature", config.support_temperature or 1.0
            )
        if config.feature_transform != "none":
            self.feature_transform = FeatureTransform(
                self.embedding_dim, config.prototype_bias > 0, name="feature_transform", dtype=self.dtype_policy
            )

    def _add_logarithm(self, name, value, shape=()):
        """Create the variable that is a number's logarithm, so that a step of Adam changes the number by a share."""
        return self.add_weight(name=name, shape=shape, initializer=keras.initializers.Constant(math.log(value)))

    @property
    def feature_dim(self):
        return self.embedding_dim + (self.config.prototype_bias > 0)

    @property
    def fixed_variables(self):
        """Mean and matrix of the embedding transform, if the configuration has one."""
        return [] if self.feature_transform is None else [self.feature_transform.mean, self.feature_transform.matrix]

    @property
    def scales(self):
        """The logarithms of the prototypes' scales and of the support's temperature, if the configuration has them."""
        all_of_them = self.prototype_log_scale, self.support_log_temperature, self.dimension_log_scales
        return [scale for scale in all_of_them if scale is not None]

    @property
    def warmup_steps(self):
        return self.config.warmup_steps

    @property
    def warmup_variables(self):
        """The scales of the dimensions, if the configuration has them."""
        return [] if self.dimension_log_scales is None else [self.dimension_log_scales]

    def start_at(self, scale, temperature=None, rate=0.0, bias_share=0.0, shots=1):
        """Set what training starts from.

        Args:
          scale: float above 0, of the prototypes that a prototype_residual adds.
          temperature: float above 0, that logits of the support are divided by; None leaves it, and the rate.
          rate: of fine-tuning steps down the loss summed over a support of `shots` examples a class.
          bias_share: the rate of a bias, as a share of this one.
        """
        self.prototype_log_scale.assign(math.log(scale))
        if temperature is not None:
            self.support_log_temperature.assign(math.log(temperature))
            self.start_fine_tuning_at(rate * self.config.copies(shots), bias_share)

    def start_fine_tuning_at(self, rate, bias_share=0.0):
        """Set all rates of fine-tuning; a bias's is 0 unless it is known to pay: it is learned, if it does."""
        rates = [rate] * self.embedding_dim + [bias_share * rate] * (self.feature_dim - self.embedding_dim)
        self.finetuning_learning_rate.assign(rates)

    def tempered(self, logits):
        if self.support_log_temperature is None:
            return logits
        return logits * tf.exp(-tf.convert_to_tensor(self.support_log_temperature))

    def prototypes(self, means):
        """Return what is added to decoded weights, from class means [tasks, ways, dim]; zeros without the setting."""
        if self.prototype_log_scale is None:
            return 0.0
        log_scale = tf.convert_to_tensor(self.prototype_log_scale)
        if self.dimension_log_scales is not None:
            log_scale += tf.convert_to_tensor(self.dimension_log_scales)
        return classifier_of(means, self.config.prototype_bias, tf.exp(log_scale))
