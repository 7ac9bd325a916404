"""The model that a run's configuration describes: LEO, or a baseline trained in its place."""

import dataclasses

from leo_tf.baselines import MAML, MetaSGD
from leo_tf.model import LEO
from leo_tf.regression.algorithms import build_regressor

_BASELINES = {"maml": MAML, "metasgd": MetaSGD}


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
    if config.episodes.problem == "regression":
        return build_regressor(config, seed)
    baseline = config.baseline
    if baseline.algorithm == "leo":
        return LEO(config.model, data["embedding_dim"], seed=seed)
    inner = dataclasses.replace(
        config.model, finetuning_unroll_length=baseline.maml_steps, finetuning_lr_init=baseline.maml_lr
    )
    return _BASELINES[baseline.algorithm](inner, data["embedding_dim"], config.episodes.num_classes)
