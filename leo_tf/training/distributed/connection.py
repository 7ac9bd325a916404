"""The strategy of many workers, and how a run learns that one of them is lost."""

import contextlib
import faulthandler
import logging
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

# There is no public name for the time-outs of the coordination service. Its heartbeats come from a C++ thread, so that
# a worker that compiles or validates does not appear to be lost.
from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2 as coordination
from tensorflow.python.eager import context

from leo_tf.config.cluster import Cluster
from leo_tf.errors import InputError, first_line
from leo_tf.training.distributed.rendezvous import rendezvous

RESUME_HINT = "Give the same command to all workers to resume from the last checkpoint."
_REPORTED = "leo_tf reports: "
_CLUSTER_ERROR = re.compile(
    "[Cc]ollective|CoordinationService|remote target /job:worker|Error reported from /job:worker"
)
_DELIVERY_SECONDS = 1.5  # that a report needs to reach the others before its sender may end
_CONNECTION_SECONDS = 60  # beyond the timeout, for TensorFlow to connect workers that are all running

_logger = logging.getLogger("leo_tf")


class WorkerLost(InputError):
    """Another worker ended, or sends no heartbeats any more."""


def connect(cluster: Cluster, facts: Mapping[str, Any], timeout: int) -> tf.distribute.Strategy:
    """Connect to the other workers, before any other operation of TensorFlow; return the strategy over all of them.

    `facts` are those of `rendezvous`. A worker that does not appear within `timeout` seconds counts as missing, one
    that sends no heartbeat for as long as lost.
    """
    gpus = len(tf.config.list_physical_devices("GPU"))
    rendezvous(cluster, {**facts, "tensorflow": tf.__version__, "GPUs": gpus}, timeout)
    count = len(cluster.addresses)
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=1000 * (timeout + _CONNECTION_SECONDS),
        heartbeat_timeout_in_ms=1000 * timeout,
        shutdown_barrier_timeout_in_ms=10_000,
        coordinated_jobs=[coordination.CoordinatedJob(name="worker", num_tasks=count)],
    )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.number,
        num_accelerators={"GPU": gpus} if gpus else {},
        rpc_layer="grpc",
    )
    try:
        seconds = timeout + 2 * _CONNECTION_SECONDS
        _logger.info("Connecting %d workers; this process ends after %d s if one does not answer.", count, seconds)
        with _exit_after(seconds):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except (tf.errors.OpError, RuntimeError) as error:
        raise InputError(
            f"TensorFlow cannot connect {cluster.name(cluster.number)} to the others ({first_line(error)}); expected "
            "free ports, open between the workers. Give other ports in workers, or wait until the ports are free.",
            "workers",
        ) from None
    # TensorFlow has replaced the handler of SIGTERM; restore the one that ends a worker until training catches it.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    return strategy


@contextlib.contextmanager
def _exit_after(seconds: float) -> Iterator[None]:
    """End the process if the block takes longer: TensorFlow waits without end for a worker that dies meanwhile."""
    # It holds Python's lock while it waits, so that no thread or signal handler of Python could run.
    with open(os.devnull, "w") as devnull:
        faulthandler.dump_traceback_later(seconds, exit=True, file=devnull)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Report any error of the block to the other workers, so that they end too."""
    try:
        yield
    except WorkerLost:
        raise
    except BaseException as error:
        report(str(error) if isinstance(error, InputError) else f"{type(error).__name__} {error}")
        raise


def explain_loss(text: str, cluster: Cluster, timeout: float, hint: str = RESUME_HINT) -> str:
    """Return a message on the lost worker that the text of a TensorFlow error is about; empty if there is none.

    The coordination service knows the errors of all workers (context.get_task_states), but a worker that asks for them
    while the chief hangs waits until the chief runs again, with no time-out (measured with TensorFlow 2.21).
    """
    if not _CLUSTER_ERROR.search(text):  # the error of any operation names its device, as /job:worker/...
        return ""
    if found := re.search(rf"/task:(\d+): {_REPORTED}(.*)", text):
        report = found[2].strip()
        return report if hint in report else f"{cluster.title(int(found[1]))} ended: {report}"
    others = [int(number) for number in re.findall(r"/task:(\d+)", text) if int(number) != cluster.number]
    # An error that names no worker is about the connection to the chief, which runs the coordination service.
    lost = others[0] if others else 0
    return (
        f"{cluster.title(lost)} is lost: its process ended, or sent no heartbeat for {timeout:g} seconds "
        f"(worker_timeout). {hint}"
    )


def report(text: str) -> None:
    """Tell the other workers why this one ends."""
    with contextlib.suppress(tf.errors.OpError, ValueError):
        context.context().report_error_to_cluster(tf.errors.ABORTED, _REPORTED + " ".join(text.split())[:1000])
        time.sleep(_DELIVERY_SECONDS)
