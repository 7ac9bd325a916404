"""The trained model of a run."""

from leo_tf.errors import InputError
from leo_tf.runs.folder import RunFolder


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

    from leo_tf.runs.problems import problem_of

    folder = RunFolder(checkpoint_path)
    config, checkpoint = folder.config(), folder.best_checkpoint()
    model = problem_of(config).build_learner(folder.data())
    try:
        status = tf.train.Checkpoint(model=model).restore(checkpoint)
        status.assert_existing_objects_matched().expect_partial()
    except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:
        raise InputError(
            f"The best checkpoint {checkpoint} cannot be read ({str(error).splitlines()[0]}); it is damaged or of "
            "another model. Continue the run with train.py to get a new one, or train again."
        ) from None
    return model
