"""Jobs as tasks of a Ray cluster, which keeps count of cores and GPUs and starts a job of a lost machine elsewhere.

Folders of jobs are on a disk that all machines share; a job that starts elsewhere goes on from its run folder.
"""

import logging
import os
import socket
import threading
from concurrent.futures import Future

from leo_tf.errors import InputError, require_package
from leo_tf.files import writing

_SECONDS = 10.0
_SECONDS_TO_SAVE = 90.0
_RETRIES = 10  # of a job whose machine or process is lost


class RayCluster:
    """Run jobs on a Ray cluster; see Executor.

    Args:
      execution: Execution. With no ray_address, a cluster of as many cores as its jobs need is started here.

    Raises:
      InputError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, execution):
        require_package("ray", "executor=ray")
        import ray

        self._ray, self._execution, self.capacity = ray, execution, execution.jobs
        here = {"num_cpus": execution.jobs * execution.threads, "include_dashboard": False}
        where = {"address": execution.ray_address} if execution.ray_address else here
        self._started = not ray.is_initialized()
        if self._started:
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leaves CUDA_VISIBLE_DEVICES alone
            try:
                _require_answer(execution.ray_address)
                ray.init(**where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
            except (ConnectionError, ValueError, RuntimeError, OSError) as error:
                address = execution.ray_address or "this machine"
                raise InputError(
                    f"Cannot reach a Ray cluster at {address} ({str(error).splitlines()[0][:200]}); expected the "
                    "ray_address that ray start printed, or none to start one here."
                ) from None
        self._task = ray.remote(_do).options(
            num_cpus=execution.threads, num_gpus=execution.gpus_per_job, max_retries=_RETRIES
        )
        self._submitted = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        running = {reference: job for job, reference, future in self._submitted.values() if not future.done()}
        for job in running.values():
            self.stop(job)
        if running:
            _, waiting = self._ray.wait([*running], num_returns=len(running), timeout=_SECONDS_TO_SAVE)
            for reference in waiting:  # as of jobs that no machine had room for
                self._ray.cancel(reference)
        if self._started:
            self._ray.shutdown()

    def submit(self, job):
        """Queue a job; return the Future of its status."""
        job.stop_file.unlink(missing_ok=True)
        reference = self._task.remote(job, self._execution.threads, os.getcwd())
        future: Future = Future()
        threading.Thread(target=self._fetch, args=(reference, future), daemon=True).start()
        self._submitted[job.name] = job, reference, future
        return future

    def stop(self, job):
        """Ask a job to save and end. Not by Ray's cancel, whose interruption of a running task may be lost."""
        with writing(job.folder):
            job.folder.mkdir(parents=True, exist_ok=True)
            job.stop_file.touch()

    def _fetch(self, reference, future):
        try:
            future.set_result(self._ray.get(reference))
        except self._ray.exceptions.TaskCancelledError:
            future.set_result({"ok": False, "stopped": True, "seconds": 0.0, "command": "", "reason": "stopped"})
        except BaseException as error:
            future.set_exception(error)


def _require_answer(address):
    """Raise OSError where nothing listens at HOST:PORT, for which Ray would wait minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), _SECONDS).close()


def _do(job, threads, folder):
    """Do a job on whatever machine this is; relative paths are from `folder`."""
    from leo_tf.execution.runner import do

    os.chdir(folder)
    return do(job, threads, job.stop_file.exists)
