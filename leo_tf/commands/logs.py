"""Logs of the commands: leo_tf's own lines, and TensorFlow's only if --verbosity is given."""

import contextlib
import io
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence

from absl import flags
from absl import logging as absl_logging

# Where they are installed, Keras imports these for classes that no command uses; that is a third of its import time.
_FOR_KERAS_ALONE = ("sklearn", "matplotlib")


def start_logs() -> None:
    """Send leo_tf's log to stderr, and silence TensorFlow's unless --verbosity is given.

    Names that stdout's encoding lacks are escaped there, as they are on stderr.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if _is_verbose() else "3")
    if not _is_verbose():
        absl_logging.set_verbosity(absl_logging.ERROR)  # also logs TensorFlow's notes on every checkpoint
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log = logging.getLogger("leo_tf")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def load_tensorflow() -> None:
    """Import TensorFlow quickly, and without the lines that its C++ code prints during the import.

    No setting silences them; they are about oneDNN and missing CUDA. If the import fails, they are printed.
    """
    if "tensorflow" in sys.modules:
        return
    if _is_verbose():
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
def _hidden(packages: Sequence[str]) -> Iterator[None]:
    """Hide packages from imports in the block, as if they were not installed; already imported ones stay."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: "not found"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _is_verbose() -> bool:
    return bool(flags.FLAGS["verbosity"].present)
