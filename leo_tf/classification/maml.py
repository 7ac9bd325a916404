"""MAML and Meta-SGD on the linear classifier: descend from meta-learned weights, in the weights themselves.

The same embeddings, inner loss, dropout, meta-objective and outer loop as LEO, without its latent space: what the
paper's tables call "Meta-SGD (our features)".
"""

import keras
import tensorflow as tf

from leo_tf import objective
from leo_tf.classification.learner import ClassificationLearner
from leo_tf.classification.noise import NoiseSpec, dropout
from leo_tf.errors import InputError
from leo_tf.learners import DescentLearner, LearnedRates


@keras.saving.register_keras_serializable(package="leo_tf")
class MAML(DescentLearner, ClassificationLearner):
    """Model-agnostic meta-learning of a linear classifier's initial weights; one fixed learning rate.

    Ours, as the LEO paper does not say how its Meta-SGD starts: the initial weights start at zero. Classes come in
    random order, so that no class number has anything of its own to learn; from zero, the first step goes to scaled
    class means. The inner loss is the sum over the support divided by its shots, so that one learning rate suits any
    number of them, as for LEO's copies.

    Args:
      config: MAMLConfig.
      embedding_dim: dimensions of an embedding.
      ways: classes of a task; unlike LEO's, these weights fit no other number.
    """

    def __init__(self, config=None, embedding_dim=640, ways=5, **kwargs):
        super().__init__(config, embedding_dim, **kwargs)
        self.ways = ways
        self.add_initial_parameters((ways, embedding_dim))
        self.built = True

    def noise_spec(self, shots):
        """Return the noise.NoiseSpec of a pass: nothing is sampled, dropout is anew in every step."""
        return NoiseSpec(0, 0, 0, self.config.maml_steps, self.config.dropout_rate)

    def adapt_in_training(self, support_x, support_y, noise):
        """Return AdaptationOutput, with classifiers [tasks, ways, dim]; see MetaLearner."""
        rate = self.config.dropout_rate
        # Use 0 of the support is LEO's encoder's.
        classifier = self._descend(
            support_x, support_y, lambda use: dropout(support_x, noise.support_mask(1 + use), rate)
        )[-1]
        return self.without_penalties(classifier)

    def adapt_imbalanced(self, support_x, support_y, ways=None):
        """Adapt, deterministically, to support sets given as lists; as LEO.adapt_imbalanced: every class weighs the same.

        Args:
          support_x: embeddings [tasks, examples, dim].
          support_y: labels [tasks, examples] int, 0..ways-1; every class needs an example in every task. Not checked.
          ways: int; default the model's, which it has to be.

        Returns:
          Classifier [tasks, ways, dim].
        """
        self.require_ways(self.ways if ways is None else ways)
        support_x = tf.convert_to_tensor(support_x, self.compute_dtype)
        labels = tf.cast(support_y, tf.int32)
        members = tf.one_hot(labels, self.ways, axis=1, dtype=support_x.dtype)  # [tasks, ways, examples]
        weights = tf.reduce_sum(tf.math.divide_no_nan(members, tf.reduce_sum(members, axis=2, keepdims=True)), axis=1)

        def loss(classifier, step):
            return tf.reduce_sum(weights * objective.cross_entropy(self.classify(support_x, classifier), labels))

        return self.descend(tf.shape(support_x)[0], loss)[-1]

    def descend_in_evaluation(self, support_x, support_y):
        """Return the classifiers [tasks, ways, dim] at the start and after each step, without dropout, a list."""
        return self._descend(support_x, support_y, lambda step: support_x)

    def _descend(self, support_x, support_y, support):
        self.require_ways(support_x.shape[1])
        tasks, _, shots, _ = tf.unstack(tf.shape(support_x))
        return self.descend(tasks, self.support_loss(support, support_y), 1.0 / tf.cast(shots, self.compute_dtype))

    def require_ways(self, ways):
        """Raise InputError unless these are the ways the model was made for."""
        if ways != self.ways:
            raise InputError(
                f"{self.algorithm}'s weights are those of {self.ways} classes; got tasks of {ways}. "
                f"Give {self.ways}-way tasks (num_classes={self.ways}), or train another model."
            )

    def get_config(self):
        return {**super().get_config(), "ways": self.ways}


@keras.saving.register_keras_serializable(package="leo_tf")
class MetaSGD(LearnedRates, MAML):
    """MAML with a meta-learned learning rate for every element of the classifier; arguments as for MAML."""
