"""Two workers in separate network namespaces, which resemble two machines, and a broken connection between them.

Needs Linux, root and `ip`.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import pytest
from harness import Runs, wait_for_step
from worker_processes import BOUND, Worker, require_near

pytestmark = pytest.mark.long
ADDRESSES = ("10.77.0.1", "10.77.0.2")
STEPS = ("--num_steps_limit=40", "--checkpoint_steps=20", "--log_steps=2", "--outer_lr=1e-5")
ENDLESS = ("--num_steps_limit=4000", "--checkpoint_steps=20", "--log_steps=2", "--metavalid_tasks=0")


class Networks:
    """Two network namespaces of this process."""

    def __init__(self):
        self.names = [f"leo{os.getpid()}{end}" for end in "ab"]

    def ip(self, *words):
        subprocess.run(["ip", *words], check=True, capture_output=True, timeout=60)

    def make(self):
        for name in self.names:
            self.ip("netns", "add", name)
        first, second = self.names
        self.ip("link", "add", "cable", "netns", first, "type", "veth", "peer", "name", "cable", "netns", second)
        for name, address in zip(self.names, ADDRESSES, strict=True):
            self.ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                self.ip("-n", name, "link", "set", device, "up")

    def lose(self):
        """Silently drop all packets, which are sent to a device that does not exist."""
        self._neighbours("replace", "lladdr", "02:00:00:00:00:01", "nud", "permanent")

    def heal(self):
        """Undo `lose`."""
        self._neighbours("delete")

    def _neighbours(self, change, *how):
        for name, other in zip(self.names, reversed(ADDRESSES), strict=True):
            self.ip("-n", name, "neighbour", change, other, *how, "dev", "cable")

    def remove(self):
        for name in self.names:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.ip("netns", "delete", name)


@pytest.fixture(scope="module")
def networks():
    if shutil.which("ip") is None:
        pytest.skip("needs ip")
    networks = Networks()
    try:
        networks.make()
    except subprocess.CalledProcessError as error:
        networks.remove()
        pytest.skip(f"cannot create networks: {error.stderr.decode().strip()}")
    yield networks
    networks.remove()


@pytest.fixture
def start(networks, tmp_path):
    """A function that starts the workers of a run, one in each network; all have ended after the test."""
    places, started = [], []
    for name in networks.names:
        (tmp_path / name).mkdir()
        places.append(Runs(tmp_path / name, None, ["ip", "netns", "exec", name]))

    def start(path, *flags):
        workers = "--workers=" + ",".join(f"{address}:5000" for address in ADDRESSES)
        many = ("--distribution=multi_worker", workers)
        new = [
            Worker(
                place.train(path, *many, f"--worker_index={index}", *flags, environment={"TF_NUM_INTEROP_THREADS": "2"})
            )
            for index, place in enumerate(places)
        ]
        started.extend(new)
        return new

    yield start
    for worker in started:
        if not worker.is_over:
            worker.kill(signal.SIGKILL)
            worker.wait()
    for place in places:
        place.close()


def test_two_networks_equal_one_device(start, runs, tmp_path):
    runs.finish(tmp_path / "one", *STEPS)
    for worker in start(tmp_path / "two", *STEPS):
        assert worker.wait() == 0, worker.output
    require_near(tmp_path / "two", tmp_path / "one")


def test_broken_connection_ends_both_and_the_same_command_resumes(start, networks, tmp_path):
    path, flags = tmp_path / "run", (*ENDLESS, "--worker_timeout=10")
    both = start(path, *flags)
    wait_for_step(both[0], path, 24)
    networks.lose()
    since = time.monotonic()
    for index, worker in enumerate(both):
        assert worker.wait() == 2, worker.output
        assert f"Error: Worker {1 - index} ({ADDRESSES[1 - index]}:5000) is lost" in worker.output
    assert time.monotonic() - since < 10 + BOUND
    networks.heal()
    both = start(path, *flags)
    wait_for_step(both[0], path, 100)
    both[1].kill(signal.SIGTERM)
    for worker in both:
        assert worker.wait() == 128 + signal.SIGTERM, worker.output
    assert "from step" in both[0].output
