"""The trained model of a run."""

import dataclasses

from leo_tf.classification.leo import LEO
from leo_tf.classification.maml import MAML, MetaSGD
from leo_tf.errors import InputError
from leo_tf.regression.algorithms import build_regressor
from leo_tf.runs.folder import RunFolder

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


def load(checkpoint_path):
    """Return the trained model of a run: its best checkpoint, under its own configuration.

    Args:
      checkpoint_path: the run's folder.

    Returns:
      LEO, or the baseline that the run trained.

    Raises:
      InputError: no run there, no checkpoint in it yet, or a damaged one.

    Example:
      >>> model = leo_tf.load("runs/mini_1shot")
    """
    import tensorflow as tf

    from leo_tf.runs.load import build_model

    folder = RunFolder(checkpoint_path)
    config, checkpoint = folder.config(), folder.best_checkpoint()
    model = build_model(config, folder.data())
    try:
        status = tf.train.Checkpoint(model=model).restore(checkpoint)
        status.assert_existing_objects_matched().expect_partial()
    except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:
        raise InputError(
            f"The best checkpoint {checkpoint} cannot be read ({str(error).splitlines()[0]}); it is damaged or of "
            "another model. Continue the run with train.py to get a new one, or train again."
        ) from None
    return model
