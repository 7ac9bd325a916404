"""Start and end of every command: flags, help, logs, and one message for a user's mistake."""

import atexit
import gc
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from absl import app, flags

from leo_tf.commands import evaluate, train
from leo_tf.commands.flags import refuse_positional
from leo_tf.commands.help import GROUP_COMMAND, help_text
from leo_tf.commands.logs import start_logs
from leo_tf.errors import InputError

_USAGE_ERROR, _INTERRUPTED = 2, 130
_HELP = ("--help", "-help", "-h", "--helpshort", "-helpshort", "-?")


class Command(NamedTuple):
    """Description of a command for its help and messages."""

    about: str
    usage: str
    example: str
    takes: str = ""  # positional arguments, such as "IMAGES..."; empty for none
    again: str = "resumes"  # completes "Stopped; the same command ..." after Ctrl-C


def train_main() -> None:
    """Meta-train a model; the same command resumes a run that stopped."""
    train.define_flags()
    about = "Meta-train a model in the run directory --checkpoint_path. Rerun the command to resume."
    example = "python train.py --flagfile=configs/mini_1shot.cfg --seed=1 --checkpoint_path=runs/mini_1shot_1"
    run_command(train.run, Command(about, "python train.py", example))


def evaluate_main() -> None:
    """Evaluate a run's best checkpoint on test tasks; needs nothing but --checkpoint_path."""
    evaluate.define_flags()
    about = "Evaluate a run's best checkpoint on tasks of new classes. By default all settings are those of the run."
    example = "python evaluate.py --checkpoint_path=runs/mini_1shot --num_tr_examples_per_class=5"
    run_command(evaluate.run, Command(about, "python evaluate.py", example))


def run_command(run: Callable[..., int], command: Command) -> None:
    """Parse the flags and run; a user's mistake ends in one message, printed last, and exit status 2.

    `run` returns the exit status; it takes the positional arguments, if `command.takes` some.
    """
    last_words: list[str] = []
    atexit.register(_print_all, last_words)  # before TensorFlow's, so that it comes after them

    def guarded(arguments: list[str]) -> int:
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
            if not isinstance(error, MemoryError) and type(error).__name__ != "ResourceExhaustedError":
                raise
            last_words.append(
                f"Error: Out of memory ({_largest_allocation(error)}). Lower metatrain_batch_size, "
                "metavalid_batch_size or metatest_batch_size, or the sizes of the model and the tasks."
            )
        return _USAGE_ERROR

    def parse(arguments: list[str]) -> list[str]:
        if any(argument in _HELP for argument in arguments[1:]):
            print(_help(command), end="")
            sys.exit(0)
        try:
            return parsed(arguments, flags.FLAGS)
        except InputError as error:
            last_words.extend(error_lines(error))
            sys.exit(_USAGE_ERROR)

    app.run(guarded, flags_parser=parse)


def _help(command: Command) -> str:
    usage, example = command.usage, command.example
    if sys.argv[0].startswith(f"{GROUP_COMMAND} "):
        usage, example = sys.argv[0], example.replace(usage, sys.argv[0], 1)
    return help_text(command.about, usage, example, flags.FLAGS, command.takes)


def error_lines(error: InputError, values: flags.FlagValues = flags.FLAGS) -> list[str]:
    """Return what a command prints of an InputError: its message, and the flags of its settings that it has."""
    names = [f"--{name}" for name in dict.fromkeys(error.settings) if name in values]
    return [f"Error: {error}", *([f"Flags: {', '.join(names)}"] if names else [])]


def parsed(arguments: Sequence[str], values: flags.FlagValues) -> list[str]:
    """Parse a command line with its flagfiles; return the positional arguments, or raise InputError."""
    try:
        script, *given = arguments
        given = values.read_flags_from_files(given, force_gnu=False)
        _refuse_long_names(given, max(map(len, values), default=0))
        return values([script, *given])
    except InputError:
        raise
    except (flags.Error, OSError, ValueError) as error:  # ValueError: a flagfile that is not UTF-8, an impossible path
        if "--helpfull" in arguments:
            raise
        what = f"A flagfile is not UTF-8 ({error})." if isinstance(error, UnicodeDecodeError) else str(error)
        raise InputError(f"{what.removeprefix('ERROR:: ')} (--help lists the flags.)") from None  # absl writes it too


def _refuse_long_names(arguments: Sequence[str], longest: int) -> None:
    """Refuse names longer than any flag's: absl would compare them with every flag, recursively, letter by letter."""
    for argument in arguments:
        name = argument.lstrip("-").partition("=")[0]
        if argument == "--":
            return
        if argument.startswith("-") and len(name) > longest + 10:
            raise InputError(f"Unknown command line flag {name[:80]!r}... (--help lists the flags.)")


def _largest_allocation(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "OOM" in line or "allocat" in line]  # the first line may be only a title
    return next(iter(telling or lines), type(error).__name__)[:200]


def _print_all(lines: Sequence[str]) -> None:
    gc.collect()  # TensorFlow prints notes on what it deletes
    for line in lines:
        print(line, file=sys.stderr, flush=True)
