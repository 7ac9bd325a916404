"""The model that a run's configuration describes: LEO, or a baseline trained in its place."""

import dataclasses

from leo_tf.baselines import MAML, MetaSGD
from leo_tf.model import LEO
from leo_tf.regression.baselines import RegressionMAML, RegressionMetaSGD
from leo_tf.regression.model import RegressionLEO

_BASELINES = {"maml": MAML, "metasgd": MetaSGD}
_OF_REGRESSION = {"leo": RegressionLEO, "maml": RegressionMAML, "metasgd": RegressionMetaSGD}


def build_model(config, data, seed=None):
    """Build a run's model.

    Args:
      config: RunConfig.
      data: what the run is trained on, as in its folder; of a classification run, the embedding_dim in it.
      seed: int, of the initial weights; None leaves them to Keras' global seed. The classification baselines start at
        zeros.

    Returns:
      MetaLearner.
    """
    baseline, model = config.baseline, config.model
    if baseline.algorithm != "leo":
        model = dataclasses.replace(
            model, finetuning_unroll_length=baseline.maml_steps, finetuning_lr_init=baseline.maml_lr
        )
    if config.episodes.problem == "regression":
        return _OF_REGRESSION[baseline.algorithm](model, config.regression, seed=seed)
    if baseline.algorithm == "leo":
        return LEO(model, data["embedding_dim"], seed=seed)
    return _BASELINES[baseline.algorithm](model, data["embedding_dim"], config.episodes.num_classes)
