"""Executors, which run jobs, their settings, and the loop that gives them jobs; here those of this machine."""

import dataclasses
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Any, Protocol

from leo_tf.config.section import Section, setting
from leo_tf.errors import InputError
from leo_tf.execution.job import Job, run_job
from leo_tf.execution.progress_display import ProgressDisplay

EXECUTORS = ("processes", "ray")
_POLL_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class ExecutionConfig(Section):
    """Settings of job execution, some of which apply to Ray alone."""

    group = "Execution"

    executor: str = setting(
        "processes", "run jobs as processes of this machine, or as tasks of a Ray cluster", choices=EXECUTORS
    )
    jobs: int = setting(2, "number of jobs that run at once, each in its own processes")
    threads_per_job: int = setting(0, "threads per job for arithmetic; 0 divides this machine's cores among the jobs")
    gpus_per_job: float = setting(0.0, "GPUs that Ray reserves per job")
    ray_address: str = setting("", "address of a running Ray cluster; empty starts one on this machine")

    def __post_init__(self) -> None:
        if self.jobs < 1 or self.threads_per_job < 0 or not 0 <= self.gpus_per_job < 1000:
            raise InputError(
                f"jobs={self.jobs} threads_per_job={self.threads_per_job} gpus_per_job={self.gpus_per_job} was given; "
                "expected at least 1 job, 0 or more threads, and 0 or more GPUs.",
                *("jobs", "threads_per_job", "gpus_per_job"),
            )
        if self.executor != "ray" and (self.ray_address or self.gpus_per_job):
            raise InputError(
                f"ray_address={self.ray_address!r} gpus_per_job={self.gpus_per_job:g} was given with "
                f"executor={self.executor}; both need executor=ray.",
                *("ray_address", "gpus_per_job", "executor"),
            )
        super().__post_init__()

    @property
    def threads(self) -> int:
        """Threads that a job computes with."""
        return self.threads_per_job or max(1, (os.cpu_count() or 1) // self.jobs)


class Executor(AbstractContextManager["Executor"], Protocol):
    """Runs jobs. A context manager: on exit, running jobs are asked to save and stop."""

    capacity: int  # jobs at once

    def submit(self, job: Job) -> Future[dict[str, Any]]:
        """Start or queue a job; the future's result is its status, see `job.run_job`."""

    def stop(self, job: Job) -> None:
        """Ask a job to save and end; its status then has "stopped" set."""


class ProcessExecutor(Executor):
    """Executor that runs jobs in processes of this machine."""

    def __init__(self, config: ExecutionConfig):
        self.capacity, self._threads = config.jobs, config.threads
        self._pool = ThreadPoolExecutor(config.jobs)
        self._stop_events: dict[str, threading.Event] = {}

    def __exit__(self, *_: object) -> None:
        for event in self._stop_events.values():
            event.set()
        self._pool.shutdown(cancel_futures=True)

    def submit(self, job: Job) -> Future[dict[str, Any]]:
        event = self._stop_events[job.name] = threading.Event()
        return self._pool.submit(run_job, job, self._threads, event.is_set)

    def stop(self, job: Job) -> None:
        self._stop_events[job.name].set()


def make_executor(config: ExecutionConfig) -> Executor:
    """Return the executor that an ExecutionConfig describes; raise InputError if Ray is missing or not reached."""
    if config.executor == "processes":
        return ProcessExecutor(config)
    from leo_tf.execution.ray_cluster import RayExecutor

    return RayExecutor(config)


def run_jobs(
    jobs: Sequence[Job],
    executor: Executor,
    unit: str = "job",
    log: Callable[[str], None] = print,
    **display_options: Any,
) -> dict[str, dict[str, Any]]:
    """Run the jobs, of different names, that are not finished; return {job name: status}, see `job.run_job`.

    A failed job leaves the reason in its status, and the others continue; the next call retries it. A job that was
    stopped half-way resumes. The executor is entered; the other arguments are those of ProgressDisplay. Raises
    InputError if a job's folder cannot be written; no further job is started then.
    """
    statuses = {job.name: status for job in jobs if (status := job.finished())}
    waiting = [job for job in jobs if job.name not in statuses]
    with ProgressDisplay(len(jobs), len(statuses), unit, log=log, **display_options) as display:
        running: dict[Future, Job] = {}
        while waiting or running:
            while waiting and len(running) < executor.capacity:
                job = waiting.pop(0)
                running[executor.submit(job)] = job
                display.started(job)
            done, _ = wait(running, _POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                status = statuses[job.name] = future.result()
                display.ended(job, "done" if status["ok"] else f"FAILED: {status['reason']}")
            display.refresh()
    return {job.name: statuses[job.name] for job in jobs}
