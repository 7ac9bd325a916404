"""Runs scripts in forks of this process, which has imported TensorFlow once: a start takes seconds less.

It is asked by lines of JSON: {"start": {...}} answers with a process id, {"wait": [id, seconds]} with the exit status.
No operation of TensorFlow runs in this process, so that nothing of it (threads, devices) is there to be forked.
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
    """Answer until the input ends; a fork leaves this function to become the script that was asked for."""
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
        raise RuntimeError("importing has started threads; forks would lack them")


def _become(script, arguments, environment, output, umask=None, pictures=False, prepare=None):
    """Run a script with these arguments; never returns but by SystemExit."""
    with open(os.devnull, "rb") as nothing, open(output, "ab") as log:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    if umask is not None:
        os.umask(umask)
    os.environ.update(environment)
    if not pictures:  # they take most of a validation
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]
        sys.modules["matplotlib"] = None
    if prepare:
        getattr(importlib.import_module("preparations"), prepare[0])(*prepare[1:])
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def _wait(process, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            done, status = os.waitpid(process, os.WNOHANG)
        except ChildProcessError:
            return "waited for before"
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return "time is up"


if __name__ == "__main__":
    main()
