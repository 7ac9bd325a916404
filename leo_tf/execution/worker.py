"""The process of one command: python -m leo_tf.execution.worker LOCK SCRIPT FLAGS...

Its standard input is a pipe that its parent holds open. When the parent dies, however suddenly, the pipe ends and so
does the command, after saving: nobody is left training in a folder that the next start wants. Until then it holds the
lock of the job, so that a next start waits for it.
"""

import importlib
import os
import signal
import sys
import threading
import time

import filelock

_LAST_SECONDS = 60.0  # to save in


def main(arguments):
    """Call the command behind a script, as the script would."""
    lock, script, *flags = arguments
    sys.argv = [script, *flags]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with filelock.FileLock(lock, fallback_to_soft=False):
        main_of(script)()


def main_of(script):
    """Return the main function behind "train.py", "evaluate.py" or "-m MODULE"."""
    if script.startswith("-m "):
        return importlib.import_module(script[3:]).main
    commands = importlib.import_module("leo_tf.commands.main")  # an installed package has no scripts
    return {"train.py": commands.train_main, "evaluate.py": commands.evaluate_main}[script]


def _end_with_parent():
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LAST_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
