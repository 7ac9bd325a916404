"""Runs scripts in forks of this process, which has imported TensorFlow already; that saves seconds per start.

Requests are lines of JSON: {"start": {...}} is answered by a process id, {"wait": [id, seconds]} by the exit status.
This process runs no operation of TensorFlow, so that there are no threads or devices of it when it forks.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import sys
import time

PROBLEMS = ("classification", "regression")


def main():
    """Answer requests until the input ends; a fork leaves this function to run its script."""
    _import_everything()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            print(json.dumps(_wait(*asked["wait"])), flush=True)
        elif process := os.fork():
            print(json.dumps(process), flush=True)
        else:
            _become(**asked["start"])
            return


def _import_everything():
    for name in ("matplotlib.figure", "tensorflow", "leo_tf.training", *map("leo_tf.{}.problem".format, PROBLEMS)):
        importlib.import_module(name)
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("importing started threads, which forks would lack")


def _become(script, arguments, environment, output, umask=None, figures=False, patch=None):
    """Run a script with these arguments."""
    with open(os.devnull, "rb") as nothing, open(output, "ab") as log:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    if umask is not None:
        os.umask(umask)
    os.environ.update(environment)
    if not figures:  # they take most of the time of a validation
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]
        sys.modules["matplotlib"] = None
    if patch:
        getattr(importlib.import_module("patches"), patch[0])(*patch[1:])
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def _wait(process, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            done, status = os.waitpid(process, os.WNOHANG)
        except ChildProcessError:
            return "ended before"
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return "timeout"


if __name__ == "__main__":
    main()
