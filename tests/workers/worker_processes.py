"""The workers of one run as processes on this machine, each of them ended in the end."""

import contextlib
import signal
import socket
import time

import numpy as np
from run_states import state_of

BOUND = 60  # seconds beyond worker_timeout within which all have ended, on a loaded machine


class Worker:
    """A Process whose end may be asked for again."""

    def __init__(self, process):
        self._process, self.number, self.kill, self._status = process, process.number, process.kill, None

    @property
    def said(self):
        """What it printed so far."""
        return self._process.said

    @property
    def is_over(self):
        """Whether it has been waited for."""
        return self._status is not None

    def wait(self):
        """Return the exit status, as Process does."""
        if self._status is None:
            self._status = self._process.wait()
        return self._status


class Workers:
    """Starts the workers of runs; all that is left of them is killed at the end of the block.

    Args:
      runs: Runs.
    """

    def __init__(self, runs):
        self._runs, self._started = runs, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        left = [worker for worker in self._started if not worker.is_over]
        for worker in left:
            worker.kill(signal.SIGKILL)
        for worker in left:
            worker.wait()

    def start(self, path, *more, count=2, only=None, own=(), train=None):
        """Start the workers of the tiny run in a folder; returns a list of Worker, in the order of their numbers.

        Args:
          path: the run's folder.
          more: flags of all of them.
          count: how many workers there are.
          only: numbers of those that are started; default all.
          own: of each worker, flags of its own.
          train: function that starts a run in a folder, as Runs.train, which is the default.
        """
        workers = ",".join(f"127.0.0.1:{port}" for port in free_ports(count))
        found = []
        for index in range(count) if only is None else only:
            process = (train or self._runs.train)(
                path,
                *("--distribution=multi_worker", f"--workers={workers}", f"--worker_index={index}"),
                *more,
                *(own[index] if own else ()),
                environment={"TF_NUM_INTEROP_THREADS": "2"},
            )
            found.append(Worker(process))
            self._started.append(found[-1])
        return found

    def finish(self, path, *more, **how):
        """Run the workers to their end; returns what each said."""
        found = self.start(path, *more, **how)
        for process in found:
            assert process.wait() == 0, process.said
        return [process.said for process in found]

    def refused(self, path, said, flags, train, whose=0):
        """Require that two workers, one of whom has flags of its own, both refuse to work, in these words."""
        own = [[], []]
        own[whose] = flags
        for process in self.start(path, train=train, own=own):
            assert process.wait() == 2, process.said
            assert said in process.said, process.said
            assert "Traceback" not in process.said


def wait_for(process, text, seconds=100):
    """Wait until a process has said something; fails where it does not."""
    until = time.monotonic() + seconds
    while text not in process.said and time.monotonic() < until:
        time.sleep(0.1)
    assert text in process.said, process.said


def free_ports(count):
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as opened:
        doors = [opened.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [door.getsockname()[1] for door in doors]


def require_near(path, whole):
    """Require that two runs have the same latest and best state to rounding."""
    for which in ("latest", "best"):
        expected, found = (state_of(each, which) for each in (whole, path))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5 * np.abs(value).max(), err_msg=name)
