"""Jobs as tasks of a Ray cluster, which schedules them by cores and GPUs and restarts those of a lost machine.

The jobs' folders are on a disk that all machines share, so a restarted job resumes from its run folder.
"""

import logging
import os
import socket
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from leo_tf.errors import InputError, first_line, require_package
from leo_tf.execution.executor import ExecutionConfig, Executor
from leo_tf.execution.job import Job, run_job
from leo_tf.files import writing

_SECONDS_TO_CONNECT = 10.0
_SECONDS_TO_SAVE = 90.0
_RETRIES = 10  # of a job whose machine or process is lost


class RayExecutor(Executor):
    """Executor of jobs on a Ray cluster; without a ray_address it starts one here, with the cores that they need."""

    def __init__(self, config: ExecutionConfig):
        require_package("ray", "executor=ray")
        import ray

        self._ray, self._threads, self.capacity = ray, config.threads, config.jobs
        local = {"num_cpus": config.jobs * config.threads, "include_dashboard": False}
        cluster = {"address": config.ray_address} if config.ray_address else local
        self._started_ray = not ray.is_initialized()
        if self._started_ray:
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leaves CUDA_VISIBLE_DEVICES alone
            try:
                _check_connection(config.ray_address)
                ray.init(**cluster, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
            except (ConnectionError, ValueError, RuntimeError, OSError) as error:
                address = config.ray_address or "this machine"
                raise InputError(
                    f"Cannot reach a Ray cluster at {address} ({first_line(error)}); expected the ray_address that "
                    "ray start printed, or none to start one here.",
                    "ray_address",
                ) from None
        self._task = ray.remote(_run_job_on_node).options(
            num_cpus=config.threads, num_gpus=config.gpus_per_job, max_retries=_RETRIES
        )
        self._submitted: dict[str, tuple[Job, Any, Future]] = {}

    def __exit__(self, *_: object) -> None:
        running = {reference: job for job, reference, future in self._submitted.values() if not future.done()}
        for job in running.values():
            self.stop(job)
        if running:
            waiting = self._ray.wait([*running], num_returns=len(running), timeout=_SECONDS_TO_SAVE)[1]
            for reference in waiting:  # such as queued jobs, which no machine has started
                self._ray.cancel(reference)
        if self._started_ray:
            self._ray.shutdown()

    def submit(self, job: Job) -> Future[dict[str, Any]]:
        _stop_file(job).unlink(missing_ok=True)
        reference = self._task.remote(job, self._threads, os.getcwd())
        future = reference.future()
        self._submitted[job.name] = job, reference, future
        return future

    def stop(self, job: Job) -> None:
        # Not by Ray's cancel, whose interruption of a running task may be lost.
        with writing(job.folder):
            job.folder.mkdir(parents=True, exist_ok=True)
            _stop_file(job).touch()


def _stop_file(job: Job) -> Path:
    """Return the file whose existence asks a job to stop: the shared disk reaches every machine."""
    return job.folder / "stop"


def _check_connection(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT; Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), _SECONDS_TO_CONNECT).close()


def _run_job_on_node(job: Job, threads: int, working_directory: str) -> dict[str, Any]:
    os.chdir(working_directory)
    return run_job(job, threads, _stop_file(job).exists)
