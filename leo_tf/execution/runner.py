"""Do a job: call its commands, one process after the other, and write down how they ended."""

import os
import signal
import subprocess
import sys
import time

from leo_tf.execution.job import written
from leo_tf.files import write_json, writing

_LOG_LINES, _POLL_SECONDS, _SECONDS_TO_SAVE = 4, 0.2, 60.0
_STARTS = 3  # of a command whose process is killed


def do(job, threads, stopping):
    """Do a job to its end, or until it is to stop.

    A command that is killed, as for want of memory, is started again and goes on.

    Args:
      job: Job.
      threads: for a process's arithmetic; 0 leaves them to the libraries.
      stopping: function that returns whether to stop; the command is then asked to save and end.

    Returns:
      Its status: dict with "ok", "stopped", "commands" (a digest), "seconds" and, unless ok, "command" and "reason".

    Raises:
      InputError: the job's folder cannot be written.
    """
    status, start = {"ok": True, "stopped": False, "commands": job.digest}, time.perf_counter()
    with writing(job.folder):
        job.folder.mkdir(parents=True, exist_ok=True)
        log = job.log_file.open("ab")
    with log:
        for script, flags in job.commands:
            code, stopped = _call(job, script, flags, threads, log, stopping)
            if stopped or code:
                reason = "stopped" if stopped else reason_of(job, code)
                status |= {"ok": False, "stopped": stopped, "command": written(script, flags), "reason": reason}
                break
    status["seconds"] = time.perf_counter() - start
    if not status["stopped"]:
        write_json(job.status_file, status)
    return status


def _call(job, script, flags, threads, log, stopping):
    """Call a command; return (exit status, whether it was stopped)."""
    for _ in range(_STARTS):
        if stopping():
            return 0, True
        process = subprocess.Popen(
            [sys.executable, "-m", "leo_tf.execution.worker", str(job.folder / "job.lock"), script, *flags],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | _threads(threads),
            start_new_session=True,  # Ctrl-C in a terminal is for us, who then stop it once
        )
        code, stopped = _wait(process, stopping)
        if stopped or code >= 0:
            return code, stopped
        log.write(f"Killed by signal {-code}; started again.\n".encode())
        log.flush()
    return code, False


def _wait(process, stopping):
    try:
        while True:
            try:
                return process.wait(_POLL_SECONDS), False
            except subprocess.TimeoutExpired:
                if stopping():
                    return _stop(process), True
    except BaseException:  # as when Ray cancels
        _stop(process)
        raise


def _stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(_SECONDS_TO_SAVE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _threads(count):
    """Return the environment that gives a process this many threads for its arithmetic."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(count)) if count else {}


def reason_of(job, code):
    """Return the error that a command printed, or its last lines."""
    lines = job.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    if errors and code == 2:
        return errors[-1]
    ending = f"killed by signal {-code}, {_STARTS} times" if code < 0 else f"exit status {code}"
    return f"{ending}: " + " | ".join(lines[-_LOG_LINES:])
