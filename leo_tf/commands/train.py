"""The train command."""

import logging
import sys

from absl import flags

from leo_tf.commands.flags import define_run_flags, run_config
from leo_tf.runs.folder import RunFolder


def define_flags(values=flags.FLAGS):
    """Define the flags of train.py."""
    define_run_flags(values)
    flags.DEFINE_string(
        "checkpoint_path",
        "runs/leo",
        "folder of the run: configuration, checkpoints, metrics",
        flag_values=values,
    )


def run(values=flags.FLAGS):
    """Meta-train as the parsed flags say, or go on with it; return the exit status."""
    config, path = run_config(values), values.checkpoint_path
    RunFolder(path).refuse_other(config)
    from leo_tf.training import Interrupted, MetaTraining, Trainer

    work = MetaTraining(config)
    trainer = Trainer(work, path)
    logging.getLogger("leo_tf").info("%s", work.problem.summary())
    try:
        steps = trainer.run()
    except Interrupted as interruption:
        print(interruption, file=sys.stderr)
        return 128 + interruption.signum
    best, best_step = trainer.checkpoints.best
    print(
        f"{'Trained' if steps else 'Nothing to do: already trained'} {trainer.checkpoints.step} steps in "
        f"{trainer.folder.path}; best validation {work.problem.measure} {work.problem.text(best)} at step {best_step}."
        f"\nNext: python evaluate.py --checkpoint_path={trainer.folder.path}"
    )
    return 0
