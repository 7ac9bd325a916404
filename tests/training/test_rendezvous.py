"""The rendezvous of workers, which are threads here, and messages about lost workers."""

import contextlib
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from leo_tf import InputError
from leo_tf.config.cluster import Cluster
from leo_tf.training.distributed.connection import explain_loss
from leo_tf.training.distributed.rendezvous import rendezvous

SAME = {"leo_tf": "1", "settings": {"seed": 0, "outer_lr": 0.1}}


def cluster_of(count, index):
    return Cluster(tuple(f"127.0.0.1:{PORTS[each]}" for each in range(count)), index)


def free_ports(count):
    with contextlib.ExitStack() as opened:
        servers = [opened.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


PORTS = free_ports(3)


def errors_of(facts, timeout=5):
    """Return the error message of each worker, "" where there is none; a worker whose facts are None does not start."""

    def call(number):
        try:
            rendezvous(cluster_of(len(facts), number), facts[number], timeout)
        except InputError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        started = [number for number, own in enumerate(facts) if own is not None]
        return dict(zip(started, pool.map(call, started), strict=True))


def test_workers_with_equal_facts_meet():
    assert errors_of([SAME, SAME, SAME]) == {0: "", 1: "", 2: ""}


def test_all_workers_report_a_different_setting():
    other = {**SAME, "settings": {"seed": 1, "outer_lr": 0.1}}
    errors = errors_of([SAME, SAME, other])
    assert len(set(errors.values())) == 1
    assert f"seed=1 on worker 2 (127.0.0.1:{PORTS[2]}), seed=0 on worker 0" in errors[0]
    assert "outer_lr" not in errors[0]


def test_different_settings_are_the_settings_of_the_error():
    other = {**SAME, "settings": {"seed": 1, "outer_lr": 0.1}}
    with ThreadPoolExecutor() as pool:
        chief = pool.submit(rendezvous, cluster_of(2, 0), SAME, 5)
        with pytest.raises(InputError) as caught:
            rendezvous(cluster_of(2, 1), other, 5)
    assert caught.value.settings == chief.exception().settings == ("seed",)


def test_versions_and_missing_facts_differ():
    assert "leo_tf=2 on worker 1" in errors_of([SAME, {**SAME, "leo_tf": "2"}])[0]
    assert "more=3 on worker 1 (127.0.0.1" in errors_of([SAME, {**SAME, "more": 3}])[1]


def test_missing_workers_are_named():
    errors = errors_of([SAME, SAME, None], timeout=1)
    assert errors[0] == errors[1]
    assert f"Worker 2 (127.0.0.1:{PORTS[2]}) did not appear within 1 seconds (worker_timeout)" in errors[0]
    assert f"Worker 0 (127.0.0.1:{PORTS[0]}) did not appear" in errors_of([None, SAME], timeout=1)[1]


def test_all_workers_report_why_the_chief_cannot_start():
    errors = errors_of([{**SAME, "error": ["The directory is taken.", "checkpoint_path"]}, SAME, SAME])
    assert set(errors.values()) == {f"Worker 0 (127.0.0.1:{PORTS[0]}): The directory is taken."}


def test_other_clients_of_the_port_are_ignored():
    def connect():
        for message in (b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b'{"worker": "0"}\n', b""):
            for _ in range(50):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORTS[0]), 1) as client:
                    client.sendall(message)
                    break

    with ThreadPoolExecutor() as pool:
        connecting = pool.submit(connect)
        assert errors_of([SAME, SAME, SAME]) == {0: "", 1: "", 2: ""}
        connecting.result()


def test_a_worker_may_restart_before_all_are_there():
    with ThreadPoolExecutor() as pool:
        chief = pool.submit(rendezvous, cluster_of(2, 0), SAME, 5)
        with connected() as client:  # killed while it sends
            client.sendall(json.dumps({"worker": 1, **SAME}).encode())
        rendezvous(cluster_of(2, 1), SAME, 5)
        assert chief.result() is None
        chief = pool.submit(rendezvous, cluster_of(3, 0), SAME, 5)
        with connected() as client:
            client.sendall(json.dumps({"worker": 1, **SAME}).encode() + b"\n")
            time.sleep(0.5)
        restarted = [pool.submit(rendezvous, cluster_of(3, number), SAME, 5) for number in (1, 2)]
        assert [each.result() for each in (chief, *restarted)] == [None, None, None]


def test_a_number_that_is_there_twice_is_refused():
    with ThreadPoolExecutor() as pool:
        chief = pool.submit(rendezvous, cluster_of(3, 0), SAME, 2)
        with connected() as client:
            client.sendall(json.dumps({"worker": 1, **SAME}).encode() + b"\n")
            time.sleep(0.5)
            with pytest.raises(
                InputError, match=r"worker_index=1 is already taken .* Give every worker its own worker_index"
            ):
                rendezvous(cluster_of(3, 1), SAME, 2)
        with pytest.raises(InputError, match="did not appear"):
            chief.result()


def connected():
    """Return a connection to the chief, once it listens."""
    for _ in range(50):
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", PORTS[0]), 1)
        time.sleep(0.1)
    raise AssertionError("nobody listens")


def test_a_port_in_use_is_named():
    taken = pytest.raises(InputError, match=f"Worker 0 .* cannot listen on port {PORTS[0]}")
    with socket.create_server(("", PORTS[0])), taken:
        rendezvous(cluster_of(1, 0), SAME, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Collective ops is aborted by: Error reported from /job:worker/task:1: The following tasks are unhealthy "
            "(stopped sending heartbeats):\n/job:worker/replica:0/task:1",
            "Worker 1 (127.0.0.1:{1}) is lost: .* to resume from the last checkpoint",
        ),
        (
            "Collective ops is aborted by: Connection refused. Additional GRPC error information from remote target "
            "/job:worker/replica:0/task:0",
            "Worker 0 (127.0.0.1:{0}) is lost",
        ),
        (
            "Collective ops is aborted by: Deadline Exceeded\n\nRPC: /tensorflow.CoordinationService/Heartbeat",
            "Worker 0 (127.0.0.1:{0}) is lost: .* for 60 seconds",
        ),
        (
            "Collective ops is aborted by: Error reported from /job:worker/task:1: leo_tf reports: no data\nThe error",
            "^Worker 1 (127.0.0.1:{1}) ended: no data$",
        ),
        ("OOM when allocating tensor on /job:worker/replica:0/task:1/device:GPU:0 by allocator GPU_0_bfc", "^$"),
    ],
)
def test_errors_of_tensorflow_name_the_lost_worker(text, expected):
    expected = expected.replace("(", r"\(").replace(")", r"\)").format(*PORTS)
    with pytest.raises(InputError, match=expected):
        raise InputError(explain_loss(text, cluster_of(3, 2), 60))
