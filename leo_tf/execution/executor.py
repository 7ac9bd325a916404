"""What runs jobs: the settings, and what every executor offers."""

import dataclasses
import os
from concurrent.futures import Future
from typing import Protocol

from leo_tf.errors import InputError
from leo_tf.execution.job import Job

EXECUTORS = ("processes", "ray")


@dataclasses.dataclass(frozen=True)
class Execution:
    """How jobs are run.

    Raises:
      InputError: a value is out of bounds, or means nothing for the executor.
    """

    executor: str = "processes"
    jobs: int = 2  # at once
    threads_per_job: int = 0  # 0: the machine's cores, shared among the jobs
    gpus_per_job: float = 0.0  # Ray: reserved for each
    ray_address: str = ""  # of a running cluster; empty: one is started on this machine

    def __post_init__(self):
        if self.executor not in EXECUTORS:
            raise InputError(f"executor={self.executor} was given; expected {' or '.join(EXECUTORS)}.")
        if self.jobs < 1 or self.threads_per_job < 0 or not 0 <= self.gpus_per_job < 1000:
            raise InputError(
                f"jobs={self.jobs} threads_per_job={self.threads_per_job} gpus_per_job={self.gpus_per_job} was given; "
                "expected at least 1 job, and not less than 0 threads and GPUs."
            )
        if self.executor != "ray" and (self.ray_address or self.gpus_per_job):
            raise InputError(
                f"ray_address={self.ray_address!r} gpus_per_job={self.gpus_per_job:g} was given with "
                f"executor={self.executor}; they are for executor=ray."
            )

    @property
    def threads(self):
        """Threads of a job's arithmetic, int."""
        return self.threads_per_job or max(1, (os.cpu_count() or 1) // self.jobs)


class Executor(Protocol):
    """Runs jobs; a context manager, which at its end stops those that still run, after saving."""

    capacity: int  # jobs at once

    def __enter__(self) -> "Executor": ...

    def __exit__(self, *error) -> None: ...

    def submit(self, job: Job) -> Future:
        """Start a job, or queue it; the future gives its status, see `work.do`."""

    def stop(self, job: Job) -> None:
        """Ask a job to save and end; its status then says that it was stopped."""


def executor_of(execution) -> Executor:
    """Return the Executor of an Execution.

    Raises:
      InputError: a package is missing, or the cluster cannot be reached.
    """
    if execution.executor == "ray":
        from leo_tf.execution.ray_cluster import RayCluster

        return RayCluster(execution)
    from leo_tf.execution.processes import Processes

    return Processes(execution)
