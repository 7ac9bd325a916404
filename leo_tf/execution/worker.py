"""The process of one command: python -m leo_tf.execution.worker LOCK SCRIPT FLAGS...

Its standard input is a pipe that its parent holds open. When the parent dies, even by SIGKILL, the pipe closes and the
command saves and ends. Until then the process holds the job's lock, for which a restart waits.
"""

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import filelock

_SECONDS_TO_SAVE = 60.0


def main(arguments: list[str]) -> None:
    """Call the command behind a script, as the script would."""
    lock, script, *flags = arguments
    sys.argv = [script, *flags]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with filelock.FileLock(lock, fallback_to_soft=False):
        main_function(script)()


def main_function(script: str) -> Callable[[], None]:
    """Return the main function behind "train.py", "evaluate.py" or "-m MODULE"."""
    if script.startswith("-m "):
        return importlib.import_module(script[3:]).main
    commands = importlib.import_module("leo_tf.commands.main")  # an installed package has no scripts
    return {"train.py": commands.train_main, "evaluate.py": commands.evaluate_main}[script]


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SECONDS_TO_SAVE)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
