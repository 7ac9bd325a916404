"""Jobs in processes on this machine."""

import threading
from concurrent.futures import ThreadPoolExecutor

from leo_tf.execution.runner import do


class Processes:
    """Run so many jobs at once on this machine; see Executor.

    Args:
      execution: Execution.
    """

    def __init__(self, execution):
        self.capacity, self._threads = execution.jobs, execution.threads
        self._pool = ThreadPoolExecutor(execution.jobs)
        self._stops = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stop in self._stops.values():
            stop.set()
        self._pool.shutdown(cancel_futures=True)

    def submit(self, job):
        """Queue a job; return the Future of its status."""
        stop = self._stops[job.name] = threading.Event()
        return self._pool.submit(do, job, self._threads, stop.is_set)

    def stop(self, job):
        """Ask a job to save and end."""
        self._stops[job.name].set()
