"""How every command starts and ends: flags, logs, and a user's mistake as one message."""

import atexit
import gc
import logging
import os
import sys

from absl import app, flags
from absl import logging as absl_logging

from leo_tf.commands import evaluate, train
from leo_tf.commands.flags import refuse_positional
from leo_tf.errors import InputError

_USAGE_ERROR = 2


def train_main():
    """Meta-train LEO; the same command continues a run that stopped."""
    train.define_flags()
    run_command(train.run)


def evaluate_main():
    """Evaluate a run's best checkpoint on test tasks; needs nothing but --checkpoint_path."""
    evaluate.define_flags()
    run_command(evaluate.run)


def run_command(command):
    """Parse flags, run, and turn a user's mistake into one message, the last thing printed, and exit status 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    last_words: list[str] = []
    atexit.register(_print_all, last_words)  # before TensorFlow's, so that it comes after them

    def guarded(arguments):
        # absl's logger carries TensorFlow's notes on every checkpoint; ours is a logger of its own.
        absl_logging.set_verbosity(absl_logging.WARNING)
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logging.getLogger("leo_tf").addHandler(handler)
        logging.getLogger("leo_tf").setLevel(logging.INFO)
        logging.getLogger("leo_tf").propagate = False
        try:
            refuse_positional(arguments)
            return command()
        except InputError as error:
            last_words.append(f"Error: {error}")
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            last_words.append(
                f"Error: Out of memory ({_what_was_too_large(error)}). Lower --metatrain_batch_size, "
                "--metavalid_batch_size or --metatest_batch_size, or the sizes of the model and the tasks."
            )
        return _USAGE_ERROR

    def parse(arguments):
        try:
            return flags.FLAGS(arguments)
        except (flags.Error, OSError, UnicodeDecodeError) as error:
            if "--help" in arguments or "--helpfull" in arguments:
                raise
            what = f"a flagfile is no text ({error})." if isinstance(error, UnicodeDecodeError) else error
            last_words.append(f"Error: {what} (--helpfull lists the flags.)")
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
