"""The rendezvous of workers, and how they understand what TensorFlow says of lost ones. Workers are threads here."""

import contextlib
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from leo_tf import InputError
from leo_tf.config.cluster import Cluster
from leo_tf.training.distributed.collectives import from_words, to_words
from leo_tf.training.distributed.connection import loss_of
from leo_tf.training.distributed.rendezvous import rendezvous

SAME = {"leo_tf": "1", "settings": {"seed": 0, "outer_lr": 0.1}}


def cluster_of(count, index):
    return Cluster(tuple(f"127.0.0.1:{PORTS[each]}" for each in range(count)), index)


def free_ports(count):
    with contextlib.ExitStack() as opened:
        doors = [opened.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [door.getsockname()[1] for door in doors]


PORTS = free_ports(3)


def called(statements, timeout=5, count=None):
    """What each worker hears, "" where all is well; None in place of a statement: it is not there."""
    count = count or len(statements)

    def call(index):
        try:
            rendezvous(cluster_of(count, index), statements[index], timeout)
        except InputError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        there = [index for index, statement in enumerate(statements) if statement is not None]
        return dict(zip(there, pool.map(call, there), strict=True))


def test_workers_that_were_started_alike_are_let_in():
    assert called([SAME, SAME, SAME]) == {0: "", 1: "", 2: ""}


def test_all_hear_of_a_difference_in_the_same_words():
    other = {**SAME, "settings": {"seed": 1, "outer_lr": 0.1}}
    heard = called([SAME, SAME, other])
    assert len(set(heard.values())) == 1
    assert f"seed=1 on worker 2 (127.0.0.1:{PORTS[2]}), seed=0 on worker 0" in heard[0]
    assert "outer_lr" not in heard[0]


def test_a_version_and_what_only_one_has_are_differences():
    assert "leo_tf=2 on worker 1" in called([SAME, {**SAME, "leo_tf": "2"}])[0]
    assert "more=3 on worker 1 (127.0.0.1" in called([SAME, {**SAME, "more": 3}])[1]


def test_all_hear_who_is_missing():
    heard = called([SAME, SAME, None], timeout=1)
    assert heard[0] == heard[1]
    assert f"Worker 2 (127.0.0.1:{PORTS[2]}) did not appear within 1 seconds (worker_timeout)" in heard[0]
    assert f"Worker 0 (127.0.0.1:{PORTS[0]}) did not appear" in called([None, SAME], timeout=1)[1]


def test_all_hear_why_the_chief_cannot_begin():
    heard = called([{**SAME, "fault": "The folder is taken."}, SAME, SAME])
    assert set(heard.values()) == {f"Worker 0 (127.0.0.1:{PORTS[0]}): The folder is taken."}


def test_strangers_do_not_matter():
    def knock():
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b'{"worker": "0"}\n', b""):
            for _ in range(50):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORTS[0]), 1) as door:
                    door.sendall(said)
                    break

    with ThreadPoolExecutor() as pool:
        knocking = pool.submit(knock)
        assert called([SAME, SAME, SAME]) == {0: "", 1: "", 2: ""}
        knocking.result()


def test_a_worker_may_leave_and_come_again_before_all_are_there():
    with ThreadPoolExecutor() as pool:
        chief = pool.submit(rendezvous, cluster_of(2, 0), SAME, 5)
        # It says its own, of which the chief cannot know yet that it is not all, and is killed.
        with connected() as door:
            door.sendall(json.dumps({"worker": 1, **SAME}).encode())
        rendezvous(cluster_of(2, 1), SAME, 5)
        assert chief.result() is None
        chief = pool.submit(rendezvous, cluster_of(3, 0), SAME, 5)
        with connected() as door:
            door.sendall(json.dumps({"worker": 1, **SAME}).encode() + b"\n")
            time.sleep(0.5)
        again = [pool.submit(rendezvous, cluster_of(3, index), SAME, 5) for index in (1, 2)]
        assert [each.result() for each in (chief, *again)] == [None, None, None]


def connected():
    """Return a connection to the chief, once it listens."""
    for _ in range(50):
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", PORTS[0]), 1)
        time.sleep(0.1)
    raise AssertionError("nobody listens")


def test_a_port_that_is_taken_is_named():
    taken = pytest.raises(InputError, match=f"Worker 0 .* cannot listen on port {PORTS[0]}")
    with socket.create_server(("", PORTS[0])), taken:
        rendezvous(cluster_of(1, 0), SAME, 1)


def test_words_keep_every_bit():
    arrays = [np.float32([-0.0, np.nan, 1e-45]), np.int64(7), np.array([True]), np.zeros([0, 3]), np.int32([[1, -2]])]
    arrays = [np.asarray(array) for array in arrays]
    words = to_words(arrays)
    assert words.dtype == np.int64
    assert not to_words(arrays, keep=False).any()
    for found, array in zip(from_words(words, arrays), arrays, strict=True):
        assert found.shape == array.shape
        assert found.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Collective ops is aborted by: Error reported from /job:worker/task:1: The following tasks are unhealthy "
            "(stopped sending heartbeats):\n/job:worker/replica:0/task:1",
            "Worker 1 (127.0.0.1:{1}) is lost: .* goes on from the last checkpoint",
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
            "Collective ops is aborted by: Error reported from /job:worker/task:1: leo_tf says: no data\nThe error",
            "^Worker 1 (127.0.0.1:{1}) ended: no data$",
        ),
        ("OOM when allocating tensor on /job:worker/replica:0/task:1/device:GPU:0 by allocator GPU_0_bfc", "^$"),
    ],
)
def test_what_tensorflow_says_of_lost_workers(text, expected):
    expected = expected.replace("(", r"\(").replace(")", r"\)").format(*PORTS)
    with pytest.raises(InputError, match=expected):
        raise InputError(loss_of(text, cluster_of(3, 2), 60))
