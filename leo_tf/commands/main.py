"""How every command starts and ends: flags, help, logs, and a user's mistake as one message."""

import atexit
import gc
import sys
from typing import NamedTuple

from absl import app, flags

from leo_tf.commands import evaluate, train
from leo_tf.commands.flags import refuse_positional
from leo_tf.commands.help import help_text
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
        start_logs()
        try:
            if command.takes:
                return run(arguments[1:])
            refuse_positional(arguments)
            return run()
        except InputError as error:
            last_words.extend(error_lines(error))
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
            return parsed(arguments, flags.FLAGS)
        except InputError as error:
            last_words.extend(error_lines(error))
            sys.exit(_USAGE_ERROR)

    app.run(guarded, flags_parser=parse)


def error_lines(error: InputError, values: flags.FlagValues = flags.FLAGS) -> list[str]:
    """Return what a command prints of an InputError: its message, and the flags of its settings that it has."""
    names = [f"--{name}" for name in dict.fromkeys(error.settings) if name in values]
    return [f"Error: {error}", *([f"Flags: {', '.join(names)}"] if names else [])]


def parsed(arguments, values):
    """Parse a command line, flagfiles too, into absl FlagValues; return what stands beside the flags.

    Raises:
      InputError: an unknown flag, a value that a flag cannot have, or a flagfile that cannot be read.
    """
    try:
        script, *given = arguments
        given = values.read_flags_from_files(given, force_gnu=False)
        _refuse_long_names(given, max(map(len, values), default=0))
        return values([script, *given])
    except InputError:
        raise
    except (flags.Error, OSError, ValueError) as error:  # the last: a flagfile that is no text, a path that is none
        if "--helpfull" in arguments:
            raise
        what = f"A flagfile is no text ({error})." if isinstance(error, UnicodeDecodeError) else str(error)
        raise InputError(f"{what.removeprefix('ERROR:: ')} (--help lists the flags.)") from None  # absl says it itself


def _refuse_long_names(arguments, longest):
    """Refuse what no flag is called: absl compares an unknown name with all it knows, letter by letter, recursively."""
    for argument in arguments:
        name = argument.lstrip("-").partition("=")[0]
        if argument == "--":
            return
        if argument.startswith("-") and len(name) > longest + 10:
            raise InputError(f"Unknown command line flag {name[:80]!r}... (--help lists the flags.)")


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
