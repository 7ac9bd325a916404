"""The train command."""

import logging
import sys

from absl import flags

from leo_tf.commands.flags import define_run_flags, run_config
from leo_tf.commands.logs import load_tensorflow
from leo_tf.runs.folder import RunFolder


def define_flags(values=flags.FLAGS):
    """Define the flags of train.py."""
    flags.DEFINE_string(
        "checkpoint_path",
        "runs/leo",
        "folder of the run: configuration, checkpoints, metrics",
        flag_values=values,
        module_name="Run",
    )
    define_run_flags(values)


def run(values=flags.FLAGS):
    """Meta-train as the parsed flags say, or go on with it; return the exit status."""
    config, path = run_config(values), values.checkpoint_path
    RunFolder(path).refuse_other(config)
    load_tensorflow()
    from leo_tf.training import Interrupted, MetaTraining, Trainer

    work = MetaTraining(config)
    trainer = Trainer(work, path)
    log = logging.getLogger("leo_tf")
    log.info("%s", work.problem.summary())
    log.info("Computing on %s.", work.devices())
    if work.validate is None:
        log.info("No validation (metavalid_tasks=0): the last checkpoint is taken for the best.")
    try:
        steps = trainer.run()
    except Interrupted as interruption:
        print(interruption, file=sys.stderr)
        return 128 + interruption.signum
    best, best_step = trainer.checkpoints.best
    found = f"best validation {work.problem.measure} {work.problem.text(best)} at step {best_step}"
    early = f", of {config.training.num_steps_limit}, for want of patience" if trainer.has_lost_patience else ""
    print(
        f"{'Trained' if steps else 'Nothing to do: already trained'} {trainer.checkpoints.step} steps{early} in "
        f"{trainer.folder.path}; {'no validation' if work.validate is None else found}."
        f"\nNext: python evaluate.py --checkpoint_path={trainer.folder.path}"
        f"\nSee:  tensorboard --logdir={trainer.folder.path.parent}"
    )
    return 0
