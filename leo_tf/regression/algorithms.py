"""The regression model that a run's configuration describes."""

import dataclasses

from leo_tf.regression.leo import RegressionLEO
from leo_tf.regression.maml import RegressionMAML, RegressionMetaSGD

_ALGORITHMS = {"leo": RegressionLEO, "maml": RegressionMAML, "metasgd": RegressionMetaSGD}


def build_regressor(config, seed=None):
    """Build a regression run's model.

    Args:
      config: RunConfig.
      seed: int, of the initial weights; None leaves them to Keras' global seed.

    Returns:
      RegressionLearner.
    """
    baseline, model = config.baseline, config.model
    if baseline.algorithm != "leo":
        model = dataclasses.replace(
            model, finetuning_unroll_length=baseline.maml_steps, finetuning_lr_init=baseline.maml_lr
        )
    return _ALGORITHMS[baseline.algorithm](model, config.regression, seed=seed)
