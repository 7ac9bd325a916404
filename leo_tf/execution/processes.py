"""Jobs in processes on this machine."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from leo_tf.execution.executor import ExecutionConfig
from leo_tf.execution.job import Job
from leo_tf.execution.runner import run_job


class ProcessExecutor:
    """Executor that runs jobs on this machine."""

    def __init__(self, config: ExecutionConfig):
        self.capacity, self._threads = config.jobs, config.threads
        self._pool = ThreadPoolExecutor(config.jobs)
        self._stop_events: dict[str, threading.Event] = {}

    def __enter__(self) -> "ProcessExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        for event in self._stop_events.values():
            event.set()
        self._pool.shutdown(cancel_futures=True)

    def submit(self, job: Job) -> Future[dict[str, Any]]:
        """Queue a job; return the future of its status."""
        event = self._stop_events[job.name] = threading.Event()
        return self._pool.submit(run_job, job, self._threads, event.is_set)

    def stop(self, job: Job) -> None:
        """Ask a job to save and end."""
        self._stop_events[job.name].set()
