"""The run that another one starts from: whether it can be, known without TensorFlow."""

from leo_tf.errors import InputError
from leo_tf.runs.folder import RunFolder


def run_to_start_from(config):
    """Return the RunFolder that a RunConfig's `start_from` names.

    Raises:
      InputError: there is no run, or one of another problem or algorithm.
    """
    path = config.training.start_from
    folder = RunFolder(path)
    if not folder.config_file.exists():
        raise InputError(
            f"start_from={path!r} was given, where there is no run; expected the checkpoint_path of a run made by "
            "train.py. Correct it, or leave start_from out."
        )
    other = folder.config()
    mine, theirs = (f"problem={each.problem}, algorithm={each.algorithm}" for each in (config, other))
    if mine != theirs:
        raise InputError(
            f"start_from={path!r} was given, a run with {theirs}; expected one with {mine}. Give another run, or the "
            "same problem and algorithm."
        )
    return folder
