"""MAML and Meta-SGD on the linear classifier: descend from meta-learned weights, in the weights themselves.

The same embeddings, inner loss, dropout, meta-objective and outer loop as LEO, without its latent space: what the
paper's tables call "Meta-SGD (our features)".
"""

import dataclasses

import keras
import tensorflow as tf

from leo_tf import adaptation, objective
from leo_tf.classification.learner import ClassificationLearner, join_examples
from leo_tf.classification.noise import dropout
from leo_tf.config import LEOConfig
from leo_tf.errors import InputError


@keras.saving.register_keras_serializable(package="leo_tf")
class MAML(ClassificationLearner):
    """Model-agnostic meta-learning of a linear classifier's initial weights; one fixed learning rate.

    Ours, as the LEO paper does not say how its Meta-SGD starts: the initial weights start at zero. Classes come in
    random order, so that no class number has anything of its own to learn; from zero, the first step goes to scaled
    class means. The inner loss is the sum over the support divided by its shots, so that one learning rate suits any
    number of them, as for LEO's copies.

    Args:
      config: LEOConfig. finetuning_unroll_length is the number of steps, finetuning_lr_init their learning rate;
        dropout_rate, l2_penalty_weight and first_order mean what they mean for LEO; the rest is not used.
      embedding_dim: dimensions of an embedding.
      ways: classes of a task; unlike LEO's, these weights fit no other number.

    References:
      Finn et al., "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", ICML 2017.
    """

    algorithm = "MAML"

    def __init__(self, config=None, embedding_dim=640, ways=5, **kwargs):
        # No decoding and no samples: there is noise only for dropout.
        config = dataclasses.replace(
            config or LEOConfig(), inner_unroll_length=0, codes_from="encoder", stochastic=False
        )
        super().__init__(config, embedding_dim, **kwargs)
        self.ways = ways
        self.initial_classifier = self.add_weight(
            name="initial_classifier", shape=(ways, embedding_dim), initializer="zeros"
        )
        self.built = True

    @property
    def matrices(self):
        """The initial classifier, [ways, dim]."""
        return [self.initial_classifier]

    @property
    def learning_rates(self):
        """None are meta-learned."""
        return []

    @property
    def inner_learning_rate(self):
        """The learning rate of the inner steps; broadcasts against [ways, dim]."""
        return self.config.finetuning_lr_init

    def adapt_in_training(self, support_x, labels, noise):
        """Return (classifier [tasks, ways, dim], zeros [tasks], zeros [tasks]), with dropout anew in every step."""
        zero = tf.zeros_like(support_x[:, 0, 0, 0])
        rate = self.config.dropout_rate
        # Use 0 of the support is LEO's encoder's.
        return (
            self._descend(labels, lambda step: dropout(support_x, noise.support_mask(1 + step), rate), support_x),
            zero,
            zero,
        )

    def adapt_in_evaluation(self, support_x, labels):
        """Return the classifier [tasks, ways, dim], without dropout."""
        return self._descend(labels, lambda step: support_x, support_x)

    def _descend(self, labels, support, support_x):
        self.require_ways(support_x.shape[1])
        pace = 1.0 / tf.cast(tf.shape(support_x)[2], self.compute_dtype)

        def loss(classifier, step):
            logits = self.classify(join_examples(support(step)), classifier)
            return tf.reduce_sum(objective.cross_entropy(logits, labels))

        initial = tf.convert_to_tensor(self.initial_classifier)
        return adaptation.descend(
            tf.broadcast_to(initial, [tf.shape(support_x)[0], *initial.shape]),
            loss,
            pace * self.inner_learning_rate,
            self.config.finetuning_unroll_length,
            self.config.first_order,
        )

    def require_ways(self, ways):
        """Raise InputError unless these are the ways the model was made for."""
        if ways != self.ways:
            raise InputError(
                f"{self.algorithm}'s weights are those of {self.ways} classes; got tasks of {ways}. "
                f"Give {self.ways}-way tasks (--num_classes={self.ways}), or train another model."
            )

    def get_config(self):
        return {**super().get_config(), "ways": self.ways}


@keras.saving.register_keras_serializable(package="leo_tf")
class MetaSGD(MAML):
    """MAML with a meta-learned learning rate for every element of the classifier.

    Args:
      config: as for MAML; every learning rate starts at finetuning_lr_init.
      embedding_dim, ways: as for MAML.

    References:
      Li et al., "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning", 2017; LEO paper, section 4.2, tables 1-2.
    """

    algorithm = "Meta-SGD"

    def __init__(self, config=None, embedding_dim=640, ways=5, **kwargs):
        super().__init__(config, embedding_dim, ways, **kwargs)
        self.learning_rate = self.add_weight(
            name="learning_rate",
            shape=(ways, embedding_dim),
            initializer=keras.initializers.Constant(self.config.finetuning_lr_init),
        )

    @property
    def learning_rates(self):
        """The learning rates, [ways, dim]."""
        return [self.learning_rate]

    @property
    def inner_learning_rate(self):
        """The learned rates, [ways, dim]."""
        return tf.convert_to_tensor(self.learning_rate)
