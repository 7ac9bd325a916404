"""The commands behind train.py and evaluate.py."""

import logging
import os
import sys

from absl import app, flags
from absl import logging as absl_logging

from leo_tf.commands import evaluate as evaluate_command
from leo_tf.commands import flags as run_flags
from leo_tf.errors import InputError
from leo_tf.runs.folder import RunFolder

_USAGE_ERROR = 2


def train_main():
    """Meta-train LEO; the same command continues a run that stopped."""
    run_flags.define_run_flags()
    flags.DEFINE_string("checkpoint_path", "runs/leo", "folder of the run: configuration, checkpoints, metrics")
    run_command(_train)


def evaluate_main():
    """Evaluate a run's best checkpoint on test tasks; needs nothing but --checkpoint_path."""
    evaluate_command.define_flags()
    run_command(evaluate_command.run)


def _train():
    config = run_flags.run_config()
    RunFolder(flags.FLAGS.checkpoint_path).refuse_other(config)
    from leo_tf.training import Interrupted, MetaTraining, Trainer

    work = MetaTraining(config)
    logging.getLogger("leo_tf").info("%s", work.problem.summary())
    trainer = Trainer(work, flags.FLAGS.checkpoint_path)
    try:
        steps = trainer.run()
    except Interrupted as interruption:
        print(interruption, file=sys.stderr)
        return 128 + interruption.signum
    (best, best_step), problem = trainer.checkpoints.best, work.problem
    if best_step < 0:
        raise InputError(
            f"Trained {trainer.checkpoints.step} steps in {trainer.folder.path}, and every validation was NaN: there "
            "is no best checkpoint. Start anew with lower learning rates, in regression also with an "
            "--inner_gradient_norm_threshold."
        )
    print(
        f"{'Trained' if steps else 'Nothing to do: already trained'} {trainer.checkpoints.step} steps in "
        f"{trainer.folder.path}; best validation {problem.measure} {problem.text(best)} at step {best_step}.\n"
        f"Next: python evaluate.py --checkpoint_path={trainer.folder.path}"
    )
    return 0


def run_command(command):
    """Parse flags, run, and turn a user's mistake into one message and exit status 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    def guarded(arguments):
        # absl's logger carries TensorFlow's notes on every checkpoint; ours is a logger of its own.
        absl_logging.set_verbosity(absl_logging.WARNING)
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logging.getLogger("leo_tf").addHandler(handler)
        logging.getLogger("leo_tf").setLevel(logging.INFO)
        logging.getLogger("leo_tf").propagate = False
        try:
            run_flags.refuse_positional(arguments)
            return command()
        except InputError as error:
            print(f"Error: {error}", file=sys.stderr)
            return _USAGE_ERROR

    def parse(arguments):
        try:
            return flags.FLAGS(arguments)
        except (flags.Error, OSError) as error:
            if "--help" in arguments or "--helpfull" in arguments:
                raise
            print(f"Error: {error} (--helpfull lists the flags.)", file=sys.stderr)
            sys.exit(_USAGE_ERROR)

    app.run(guarded, flags_parser=parse)
