"""How every command starts and ends: flags, help, logs, and a user's mistake as one message."""

import atexit
import gc
import sys
from typing import NamedTuple

from absl import app, flags

from leo_tf.commands import evaluate, train
from leo_tf.commands.flags import refuse_positional
from leo_tf.commands.help import as_flags, help_text
from leo_tf.commands.logs import start_logs
from leo_tf.errors import InputError

_USAGE_ERROR, _INTERRUPTED = 2, 130
_HELP = ("--help", "-help", "-h", "--helpshort", "-helpshort", "-?")


class Command(NamedTuple):
    """What a command is for."""

    about: str
    usage: str
    example: str
    takes: str = ""  # what it takes beside flags, as "IMAGES..."; nothing, if empty
    again: str = "goes on"  # what the same command does after Ctrl-C


def train_main():
    """Meta-train LEO; the same command continues a run that stopped."""
    train.define_flags()
    about = "Meta-train LEO in the run folder --checkpoint_path. The same command continues a run that stopped."
    example = "python train.py --flagfile=configs/mini_1shot.cfg --seed=1 --checkpoint_path=runs/mini_1shot_1"
    run_command(train.run, Command(about, _script("train.py", "leo-train"), example))


def evaluate_main():
    """Evaluate a run's best checkpoint on test tasks; needs nothing but --checkpoint_path."""
    evaluate.define_flags()
    about = "Evaluate a run's best checkpoint on tasks of new classes. What is not given is as the run was trained."
    example = "python evaluate.py --checkpoint_path=runs/mini_1shot --num_tr_examples_per_class=5"
    run_command(evaluate.run, Command(about, _script("evaluate.py", "leo-evaluate"), example))


def _script(script, installed):
    return f"python {script}" if sys.argv[0].endswith(".py") else installed


def run_command(run, command):
    """Parse flags, run, and turn a user's mistake into one message, the last thing printed, and exit status 2.

    Args:
      run: function that returns the exit status; without arguments, or of the list of what stands beside the flags
        where the command takes that.
      command: Command, for `--help`.
    """
    last_words: list[str] = []
    atexit.register(_print_all, last_words)  # before TensorFlow's, so that it comes after them

    def guarded(arguments):
        start_logs(as_flags)
        try:
            if command.takes:
                return run(arguments[1:])
            refuse_positional(arguments)
            return run()
        except InputError as error:
            last_words.append(f"Error: {as_flags(str(error))}")
        except KeyboardInterrupt:
            last_words.append(f"Stopped; the same command {command.again}.")
            return _INTERRUPTED
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            last_words.append(
                f"Error: Out of memory ({_what_was_too_large(error)}). Lower --metatrain_batch_size, "
                "--metavalid_batch_size or --metatest_batch_size, or the sizes of the model and the tasks."
            )
        return _USAGE_ERROR

    def parse(arguments):
        if any(argument in _HELP for argument in arguments[1:]):
            print(help_text(command.about, command.usage, command.example, flags.FLAGS, command.takes), end="")
            sys.exit(0)
        try:
            return flags.FLAGS(arguments)
        except (flags.Error, OSError, UnicodeDecodeError) as error:
            if "--helpfull" in arguments:
                raise
            what = f"A flagfile is no text ({error})." if isinstance(error, UnicodeDecodeError) else str(error)
            last_words.append(
                f"Error: {what.removeprefix('ERROR:: ')} (--help lists the flags.)"
            )  # absl says it itself
            sys.exit(_USAGE_ERROR)

    app.run(guarded, flags_parser=parse)


def _is_out_of_memory(error):
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def _what_was_too_large(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "OOM" in line or "allocat" in line]  # the first line may be a mere title
    return next(iter(telling or lines), type(error).__name__)[:200]


def _print_all(lines):
    gc.collect()  # TensorFlow has notes on what it sees deleted
    for line in lines:
        print(line, file=sys.stderr, flush=True)
