"""The train command."""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from leo_tf.commands.flags import define_run_flags, run_config
from leo_tf.commands.help import command_line
from leo_tf.commands.workers import define_worker_flags, run_work
from leo_tf.runs.load import run_to_init_from
from leo_tf.runs.run_dir import RunDirectory


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags of train.py."""
    about = "run directory: configuration, checkpoints, metrics"
    flags.DEFINE_string("checkpoint_path", "runs/leo", about, flag_values=values, module_name="Run")
    define_run_flags(values)
    define_worker_flags(values)


def run(values: flags.FlagValues = flags.FLAGS) -> int:
    """Meta-train as the parsed flags say, or resume the run; return the exit status."""
    config, path = run_config(values), values.checkpoint_path

    def refuse_early() -> None:
        folder = RunDirectory(path)
        folder.refuse_other(config)
        if config.training.init_from and not folder.config_file.exists():
            run_to_init_from(config)

    def make_work(collectives: Any) -> Any:
        from leo_tf.training import MetaTraining

        return MetaTraining(config, collectives)

    return run_work(config, values, refuse_early, make_work, lambda work: train(work, path))


def train(work: Any, path: str | Path) -> int:
    """Run a MetaTraining in a run directory and log its progress; return the exit status."""
    lines = [work.problem.summary(), f"Computing on {work.devices()}."]
    if not work.settings.metavalid_tasks:
        lines.append("No validation (metavalid_tasks=0): the last checkpoint counts as the best.")
    return run_trainer(work, path, lines, closing_message)


def run_trainer(work: Any, path: str | Path, lines: Sequence[str], closing_message: Callable[[Any, int], str]) -> int:
    """Train a Work after lines for the log; print the message for a Trainer and its new steps; return the status."""
    from leo_tf.training import Interrupted, Trainer

    trainer = Trainer(work, path)
    for line in lines:
        logging.getLogger("leo_tf").info("%s", line)
    try:
        steps = trainer.run()
    except Interrupted as interruption:
        print(interruption, file=sys.stderr)
        return 128 + interruption.signum
    print(closing_message(trainer, steps))
    return 0


def closing_message(trainer: Any, steps: int) -> str:
    """Return the summary of a run that ended after this many new steps, and the commands that come next."""
    work, path, settings = trainer.work, trainer.folder.path, trainer.work.settings
    best, best_step = trainer.checkpoints.best
    limit, end = "", ""
    if trainer.is_out_of_patience:
        limit, end = f" of {settings.num_steps_limit}", f", stopped by patience={settings.patience}"
    done = f"{trainer.checkpoints.step}{limit} steps in {path}{end}"
    found = f"best validation {work.problem.measure} {work.problem.text(best)} at step {best_step}"
    if best_step == 0:
        found += ", the initial state, on which training did not improve"
    found += work.problem.standing(best)
    more = "".join(f" --{name}={value}" for name, value in work.problem.evaluation_settings(work.learner).items())
    return (
        f"{'Trained' if steps else 'Nothing to do: already trained'} {done}; "
        f"{'no validation' if work.validate is None else found}."
        f"\nNext: {command_line('evaluate', 'evaluate.py')} --checkpoint_path={path}{more}"
        f"\nSee:  tensorboard --logdir={path.parent}"
    )
