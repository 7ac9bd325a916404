"""What a command prints beside its results: our log lines, and TensorFlow's only where --verbosity asks for them."""

import contextlib
import logging
import os
import shutil
import sys
import tempfile

from absl import flags
from absl import logging as absl_logging

# Keras imports these for classes that no command uses, where they are installed: a third of its time.
_FOR_KERAS_ALONE = ("sklearn", "matplotlib")


def start_logs() -> None:
    """Send leo_tf's log to stderr, and silence TensorFlow's unless --verbosity is given."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if _is_talkative() else "3")
    if not _is_talkative():
        absl_logging.set_verbosity(absl_logging.ERROR)  # carries TensorFlow's notes on every checkpoint
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log = logging.getLogger("leo_tf")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def load_tensorflow():
    """Import TensorFlow quickly, and without the lines its C++ prints while it is loaded, which no setting silences.

    They are on oneDNN and on CUDA's absence. If the import fails they are printed.
    """
    if "tensorflow" in sys.modules:
        return
    if _is_talkative():
        with _hidden(_FOR_KERAS_ALONE):
            import tensorflow
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            with _hidden(_FOR_KERAS_ALONE):
                import tensorflow  # noqa: F401
        except BaseException:
            os.dup2(stderr, 2)
            kept.seek(0)
            shutil.copyfileobj(kept, sys.stderr.buffer)
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextlib.contextmanager
def _hidden(packages):
    """Let imports inside find none of some packages, as if they were not installed; those imported before stay."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: "not found"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _is_talkative():
    return flags.FLAGS["verbosity"].present
