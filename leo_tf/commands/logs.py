"""What a command prints beside its results: our log lines, and TensorFlow's only where --verbosity asks for them."""

import logging
import os
import shutil
import sys
import tempfile

from absl import flags
from absl import logging as absl_logging


def start_logs(rewrite):
    """Send leo_tf's log to stderr, and silence TensorFlow unless --verbosity is given.

    Args:
      rewrite: function from a line to what is printed.
    """

    class Lines(logging.Formatter):
        def format(self, record):
            return rewrite(super().format(record))

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if _is_talkative() else "3")
    if not _is_talkative():
        absl_logging.set_verbosity(absl_logging.ERROR)  # carries TensorFlow's notes on every checkpoint
    handler = logging.StreamHandler()
    handler.setFormatter(Lines("%(asctime)s %(message)s", "%H:%M:%S"))
    log = logging.getLogger("leo_tf")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def load_tensorflow():
    """Import TensorFlow without the lines its C++ prints while it is loaded, which no setting of its own silences.

    They are on oneDNN and on CUDA's absence. If the import fails they are printed.
    """
    if "tensorflow" in sys.modules or _is_talkative():
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            os.dup2(stderr, 2)
            kept.seek(0)
            shutil.copyfileobj(kept, sys.stderr.buffer)
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _is_talkative():
    return flags.FLAGS["verbosity"].present
