"""The model that a run's configuration describes: LEO, or a baseline trained in its place."""

import dataclasses

from leo_tf.baselines import MAML, MetaSGD
from leo_tf.model import LEO

_BASELINES = {"maml": MAML, "metasgd": MetaSGD}


def build_model(config, embedding_dim, seed=None):
    """Build a run's model.

    Args:
      config: RunConfig.
      embedding_dim: dimensions of an embedding.
      seed: int, of the initial weights; None leaves them to Keras' global seed. The baselines start at zeros.

    Returns:
      MetaLearner.
    """
    baseline = config.baseline
    if baseline.algorithm == "leo":
        return LEO(config.model, embedding_dim, seed=seed)
    inner = dataclasses.replace(
        config.model, finetuning_unroll_length=baseline.maml_steps, finetuning_lr_init=baseline.maml_lr
    )
    return _BASELINES[baseline.algorithm](inner, embedding_dim, config.episodes.num_classes)
