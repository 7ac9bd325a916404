"""The trained model of a run, and the run that another one is initialised from."""

from pathlib import Path
from typing import Any

from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.runs.run_dir import RunDirectory


def load(checkpoint_path: str | Path) -> Any:
    """Return the trained model of a run: its best checkpoint, under its own configuration.

    Args:
      checkpoint_path: the run directory.

    Returns:
      The learner that the run trained: LEO, ProtoLEO, ...

    Raises:
      InputError: no run there, no checkpoint in it yet, or only corrupt ones.

    Example:
      >>> from leo_tf.config import DataConfig, TrainingConfig
      >>> training = TrainingConfig(num_steps_limit=1, metavalid_tasks=2, metavalid_queries=5, jit="off")
      >>> model = leo_tf.LEOConfig(1, 1, num_latents=4)
      >>> config = leo_tf.RunConfig(model, DataConfig(dataset_name="glyphs"), training=training)
      >>> leo_tf.Trainer(leo_tf.MetaTraining(config), "runs/mine").run()
      1
      >>> leo_tf.load("runs/mine").config.num_latents
      4
    """
    import tensorflow as tf

    from leo_tf.runs.checkpoint_files import CORRUPTION, readable
    from leo_tf.runs.registry import problem_of

    folder = RunDirectory(checkpoint_path)
    config, checkpoint = folder.config(), folder.best_checkpoint()
    model = problem_of(config).build_learner(folder.data())
    try:
        with readable(checkpoint) as path:
            status = tf.train.Checkpoint(model=model).read(path)
            status.assert_existing_objects_matched().expect_partial()
    except (*CORRUPTION, AssertionError) as error:
        raise InputError(
            f"The best checkpoint {checkpoint} is of another model than config.json says "
            f"({str(error).splitlines()[0][:200]}). Put the run's own files back, or train again."
        ) from None
    return model


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
