"""MAML and Meta-SGD on the regression network: descend from meta-learned parameters."""

import keras
import tensorflow as tf

from leo_tf import adaptation, randomness
from leo_tf.config import LEOConfig
from leo_tf.regression import network
from leo_tf.regression.learner import RegressionLearner


@keras.saving.register_keras_serializable(package="leo_tf")
class RegressionMAML(RegressionLearner):
    """Model-agnostic meta-learning of the network's initial parameters; one fixed learning rate.

    Args:
      config: LEOConfig. finetuning_unroll_length is the number of steps, finetuning_lr_init their learning rate;
        l2_penalty_weight, first_order and inner_gradient_norm_threshold mean what they mean for LEO; the rest is not
        used.
      regression: RegressionConfig.
      seed: int, of the initial parameters; None leaves them to Keras' global seed.

    References:
      Finn et al., "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", ICML 2017.
    """

    algorithm = "MAML"

    def __init__(self, config=None, regression=None, seed=None, **kwargs):
        super().__init__(config or LEOConfig(), regression, **kwargs)
        self.initial_parameters = self.add_weight(
            name="initial_parameters", shape=(self.num_parameters,), initializer="zeros"
        )
        self.built = True
        if seed is not None:
            self.initialize(seed)

    @property
    def matrices(self):
        """The initial parameters, one vector."""
        return [self.initial_parameters]

    @property
    def learning_rates(self):
        """None are meta-learned."""
        return []

    @property
    def inner_learning_rate(self):
        """The learning rate of the inner steps; broadcasts against [num_parameters]."""
        return self.config.finetuning_lr_init

    def initialize(self, seed):
        """Draw the initial parameters, the same on every replica and as LEO's decoder starts from."""
        seed = randomness.stream_seed(seed, randomness.INITIAL_NETWORK)
        self.initial_parameters.assign(network.initial_parameters(seed, self.units))

    def adapt_in_training(self, support_x, support_y, normals):
        """Return (parameters [tasks, num_parameters], zeros [tasks], zeros [tasks])."""
        zero = tf.zeros_like(support_x[:, 0, 0])
        return self.adapt_in_evaluation(support_x, support_y), zero, zero

    def adapt_in_evaluation(self, support_x, support_y):
        """Return the parameters [tasks, num_parameters]."""
        initial = tf.convert_to_tensor(self.initial_parameters)
        return adaptation.descend(
            tf.broadcast_to(initial, [tf.shape(support_x)[0], self.num_parameters]),
            self.support_loss(support_x, support_y),
            self.inner_learning_rate,
            self.config.finetuning_unroll_length,
            self.config.first_order,
            self.config.inner_gradient_norm_threshold,
        )


@keras.saving.register_keras_serializable(package="leo_tf")
class RegressionMetaSGD(RegressionMAML):
    """MAML with a meta-learned learning rate for every parameter.

    Args:
      config: as for MAML; every learning rate starts at finetuning_lr_init.
      regression, seed: as for MAML.

    References:
      Li et al., "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning", 2017.
    """

    algorithm = "Meta-SGD"

    def __init__(self, config=None, regression=None, seed=None, **kwargs):
        super().__init__(config, regression, seed, **kwargs)
        self.learning_rate = self.add_weight(
            name="learning_rate",
            shape=(self.num_parameters,),
            initializer=keras.initializers.Constant(self.config.finetuning_lr_init),
        )

    @property
    def learning_rates(self):
        """The learning rates, [num_parameters]."""
        return [self.learning_rate]

    @property
    def inner_learning_rate(self):
        """The learned rates, [num_parameters]."""
        return tf.convert_to_tensor(self.learning_rate)
