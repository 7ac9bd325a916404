"""The workers of a run as processes of this machine."""

import contextlib
import signal
import socket
import time

import numpy as np
from run_states import state_of

BOUND = 60  # seconds after worker_timeout by which all workers have ended, on a loaded machine


class Worker:
    """A Process that can be waited for more than once."""

    def __init__(self, process):
        self._process, self.number, self.kill, self._status = process, process.number, process.kill, None

    @property
    def output(self):
        """Standard output and error so far."""
        return self._process.output

    @property
    def is_over(self):
        """Whether it has been waited for."""
        return self._status is not None

    def wait(self):
        """Return the exit status."""
        if self._status is None:
            self._status = self._process.wait()
        return self._status


class Workers:
    """Context that starts the workers of runs, and kills those that still run at its end.

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
        """Start the workers of the tiny run in a directory; return a list of Worker in the order of their numbers.

        Args:
          path: the run's directory.
          more: flags of all workers.
          count: number of workers.
          only: numbers of the workers that are started; default: all.
          own: further flags of each worker.
          train: function that starts a run in a directory; default: Runs.train.
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
        """Run the workers to their end; return the output of each."""
        found = self.start(path, *more, **how)
        for process in found:
            assert process.wait() == 0, process.output
        return [process.output for process in found]

    def require_refused(self, path, message, flags, train, whose=0):
        """Require that two workers, one of which has further flags, both end with an error message."""
        own = [[], []]
        own[whose] = flags
        for process in self.start(path, train=train, own=own):
            assert process.wait() == 2, process.output
            assert message in process.output, process.output
            assert "Traceback" not in process.output


def wait_for(process, text, seconds=100):
    """Wait until a process has printed a text; fail if it does not."""
    until = time.monotonic() + seconds
    while text not in process.output and time.monotonic() < until:
        time.sleep(0.1)
    assert text in process.output, process.output


def free_ports(count):
    """Return free ports."""
    with contextlib.ExitStack() as opened:
        servers = [opened.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


def require_near(path, reference):
    """Require that two runs have the same latest and best states, up to rounding."""
    for which in ("latest", "best"):
        expected, found = (state_of(each, which) for each in (reference, path))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5 * np.abs(value).max(), err_msg=name)
