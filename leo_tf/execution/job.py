"""A job: commands that are called in subprocesses, one after the other, and the record of how they ended."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from leo_tf.errors import InputError
from leo_tf.files import read_json, write_json, writing

_LOG = "log.txt"
_LOG_LINES, _POLL_SECONDS, _SECONDS_TO_SAVE = 4, 0.2, 60.0
_MAX_STARTS = 3  # of a command whose process is killed


@dataclasses.dataclass(frozen=True)
class Job:
    """Commands to call one after the other. Called again after a stop, each resumes or finds itself done."""

    name: str  # shown to the user; unique among the jobs
    folder: Path  # its own
    commands: tuple[tuple[str, tuple[str, ...]], ...]  # (script, flags): "train.py", "evaluate.py" or "-m MODULE"
    result: Path | None = None  # file that exists once the job is done
    run: Path | None = None  # run folder that it trains

    @property
    def status_file(self) -> Path:
        """Status, written when the job has ended."""
        return self.folder / "job.json"

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.commands).encode()).hexdigest()

    def finished(self) -> dict[str, Any] | None:
        """Return the status if the job has already succeeded with the same commands, else None."""
        try:
            status = read_json(self.status_file, "the status of a job")
            done = status["ok"] and status["commands"] == self.digest and (self.result is None or self.result.exists())
        except (InputError, KeyError, TypeError):
            return None
        return status if done else None


def run_job(job: Job, threads: int, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Run a job to its end, or until it should stop, when the running command is asked to save and end.

    Returns its status: "ok", "stopped", "commands" (a digest), "seconds" and, unless ok, "command" and "reason".
    """
    status: dict[str, Any] = {"ok": True, "stopped": False, "commands": job.digest}
    start = time.perf_counter()
    with writing(job.folder):
        job.folder.mkdir(parents=True, exist_ok=True)
        log = (job.folder / _LOG).open("ab")
    with log:
        for script, flags in job.commands:
            code, stopped = _call(job, script, flags, threads, log, should_stop)
            if stopped or code:
                reason = "stopped" if stopped else _failure_reason(job, code)
                command = " ".join([script, *flags])
                status |= {"ok": False, "stopped": stopped, "command": command, "reason": reason}
                break
    status["seconds"] = time.perf_counter() - start
    if not status["stopped"]:
        write_json(job.status_file, status)
    return status


def _call(
    job: Job, script: str, flags: tuple[str, ...], threads: int, log: BinaryIO, should_stop: Callable[[], bool]
) -> tuple[int, bool]:
    """Call a command, again if it is killed, because it resumes; return its exit status and whether it was stopped."""
    code = 0
    for _ in range(_MAX_STARTS):
        if should_stop():
            return 0, True
        process = subprocess.Popen(
            [sys.executable, "-m", "leo_tf.execution.worker", str(job.folder / "job.lock"), script, *flags],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | thread_variables(threads),
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the command once
        )
        code, stopped = _wait(process, should_stop)
        if stopped or code >= 0:
            return code, stopped
        log.write(f"Killed by signal {-code}; restarted.\n".encode())
        log.flush()
    return code, False


def _wait(process: subprocess.Popen, should_stop: Callable[[], bool]) -> tuple[int, bool]:
    try:
        while True:
            try:
                return process.wait(_POLL_SECONDS), False
            except subprocess.TimeoutExpired:
                if should_stop():
                    return _terminate(process), True
    except BaseException:  # for example when Ray cancels the task
        _terminate(process)
        raise


def _terminate(process: subprocess.Popen) -> int:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(_SECONDS_TO_SAVE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def thread_variables(count: int) -> dict[str, str]:
    """Return the environment variables that make a process compute with `count` threads; none for 0."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(count)) if count else {}


def _failure_reason(job: Job, code: int) -> str:
    """Return the error that a failed command printed, or its last lines."""
    lines = (job.folder / _LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    if errors and code == 2:
        return errors[-1]
    ending = f"killed by signal {-code}, {_MAX_STARTS} times" if code < 0 else f"exit status {code}"
    return f"{ending}: " + " | ".join(lines[-_LOG_LINES:])
