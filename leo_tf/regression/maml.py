"""MAML and Meta-SGD on the regression network: descend from meta-learned parameters."""

from typing import Any

import keras
import tensorflow as tf

from leo_tf import randomness
from leo_tf.config import RegressionConfig
from leo_tf.learners import AdaptationOutput, DescentLearner
from leo_tf.regression import network
from leo_tf.regression.learner import RegressionLearner


@keras.saving.register_keras_serializable(package="leo_tf")
class RegressionMAML(DescentLearner, RegressionLearner):
    """Model-agnostic meta-learning of the network's initial parameters; one fixed learning rate.

    Args:
      config: MAMLConfig; dropout_rate is not used.
      regression: RegressionConfig.
      seed: int, of the initial parameters; None leaves them at zero.
    """

    def __init__(
        self, config: Any = None, regression: RegressionConfig | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(config, regression, **kwargs)
        self.add_initial_parameters((self.num_parameters,))
        self.built = True
        if seed is not None:
            self.initialize_weights(seed)

    def initialize_weights(self, seed: int) -> None:
        """Draw the initial parameters, the same on every replica and as LEO's decoder starts from."""
        seed = randomness.stream_seed(seed, randomness.INITIAL_NETWORK)
        self.initial_parameters.assign(network.initial_parameters(seed, self.units))

    def adapt_in_training(self, support_x: tf.Tensor, support_y: tf.Tensor, noise: tf.Tensor) -> AdaptationOutput:
        return self.without_penalties(self.adapt_in_evaluation(support_x, support_y))

    def descend_in_evaluation(self, support_x: tf.Tensor, support_y: tf.Tensor) -> list[tf.Tensor]:
        return self.descend(tf.shape(support_x)[0], self.support_loss(support_x, support_y))


@keras.saving.register_keras_serializable(package="leo_tf")
class RegressionMetaSGD(RegressionMAML):
    """MAML with a meta-learned learning rate for every parameter; arguments as for MAML."""

    algorithm = "Meta-SGD"
    learns_rates = True
