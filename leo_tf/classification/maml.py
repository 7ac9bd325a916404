"""MAML and Meta-SGD on the linear classifier: the paper's tables call them "Meta-SGD (our features)".

Embeddings, inner loss, dropout, meta-objective and outer loop are LEO's; there is no latent space.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from leo_tf import objective
from leo_tf.classification.learner import ClassificationLearner, Noise, NoiseSpec, class_members, dropout
from leo_tf.learners import AdaptationOutput, DescentLearner


@keras.saving.register_keras_serializable(package="leo_tf")
class MAML(DescentLearner, ClassificationLearner):
    """Model-agnostic meta-learning of a linear classifier's initial weights; one fixed learning rate.

    The LEO paper does not say how its Meta-SGD starts; here the initial weights start at zero. Classes come in random
    order, so that the rows of the weights have nothing of their own to learn; from zero, the first step goes to scaled
    class means. The inner loss is the sum over the support divided by its shots, so that one learning rate suits any
    number of them, as with LEO's codes.

    Args:
      config: MAMLConfig.
      embedding_dim: dimensions of an embedding.
      ways: classes of a task; unlike LEO's, these weights fit no other number.
      seed: not used; the weights start at zero.
    """

    needs_ways = True

    def __init__(
        self, config: Any = None, embedding_dim: int = 640, ways: int = 5, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(config, embedding_dim, **kwargs)
        self.fixed_ways = ways
        self.add_initial_parameters((ways, embedding_dim))
        self.built = True

    def noise_spec(self, shots: int) -> NoiseSpec:
        return NoiseSpec(0, 0, 0, self.config.maml_steps, self.config.dropout_rate)

    def adapt_in_training(self, support_x: tf.Tensor, support_y: tf.Tensor, noise: Noise) -> AdaptationOutput:
        rate = self.config.dropout_rate
        # Use 0 of the support belongs to LEO's encoder.
        classifiers = self._descend(
            support_x, support_y, lambda use: dropout(support_x, noise.support_mask(1 + use), rate)
        )
        return self.without_penalties(classifiers[-1])

    def adapt_imbalanced_features(
        self, support_x: tf.Tensor, support_y: tf.Tensor, ways: Any, sample_weight: Any = None
    ) -> tf.Tensor:
        self.require_ways(ways)
        members = class_members(support_x, support_y, ways, sample_weight)
        weights = tf.reduce_sum(tf.math.divide_no_nan(members, tf.reduce_sum(members, axis=2, keepdims=True)), axis=1)

        labels = tf.maximum(support_y, 0)  # absent examples have no weight, but a label that exists

        def loss(classifier: tf.Tensor, step: int) -> tf.Tensor:
            return tf.reduce_sum(weights * objective.cross_entropy(self.logits(support_x, classifier), labels))

        return self.descend(tf.shape(support_x)[0], loss)[-1]

    def descend_in_evaluation(self, support_x: tf.Tensor, support_y: tf.Tensor) -> list[tf.Tensor]:
        return self._descend(support_x, support_y, lambda step: support_x)

    def _descend(self, support_x: tf.Tensor, support_y: tf.Tensor, support: Callable) -> list[tf.Tensor]:
        self.require_ways(support_x.shape[1])
        tasks, _, shots, _ = tf.unstack(tf.shape(support_x))
        return self.descend(tasks, self.support_loss(support, support_y), 1.0 / tf.cast(shots, self.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ways": self.fixed_ways}


@keras.saving.register_keras_serializable(package="leo_tf")
class MetaSGD(MAML):
    """MAML with a meta-learned learning rate for every element of the classifier; arguments as for MAML."""

    algorithm = "Meta-SGD"
    learns_rates = True
