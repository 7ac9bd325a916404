"""Check the run that another one is initialised from, without TensorFlow."""

from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.runs.run_dir import RunDirectory


def run_to_init_from(config: RunConfig) -> RunDirectory:
    """Return the RunDirectory that a RunConfig's `init_from` names; raise InputError if its run does not fit."""
    path = config.training.init_from
    folder = RunDirectory(path)
    if not folder.config_file.exists():
        raise InputError(
            f"init_from={path!r} was given, where there is no run; expected the checkpoint_path of a run made by "
            "train.py. Correct it, or leave init_from out.",
            "init_from",
        )
    other = folder.config()
    mine, theirs = (f"problem={each.problem}, algorithm={each.algorithm}" for each in (config, other))
    if mine != theirs:
        raise InputError(
            f"init_from={path!r} was given, a run with {theirs}; expected one with {mine}. Give another run, or the "
            "same problem and algorithm.",
            *("init_from", "problem", "algorithm"),
        )
    return folder
