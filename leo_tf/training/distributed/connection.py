"""The strategy of many workers, and what becomes of a run when one of them is lost."""

import contextlib
import faulthandler
import logging
import os
import re
import signal
import time

import tensorflow as tf

# No public name asks for the coordination service's own time-outs; its heartbeats come from a C++ thread, so that
# neither compiling nor validating looks like death.
from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2 as coordination
from tensorflow.python.eager import context

from leo_tf.errors import InputError, first_line
from leo_tf.training.distributed.rendezvous import rendezvous

GOES_ON = "The same command on all workers goes on from the last checkpoint."
_REPORTED = "leo_tf says: "
_OF_THE_CLUSTER = re.compile(
    "[Cc]ollective|CoordinationService|remote target /job:worker|Error reported from /job:worker"
)
_TO_BE_HEARD = 1.5  # seconds that a report needs to reach the others before its sender may end
_ROOM = 60  # seconds beyond the time-out for TensorFlow to connect workers that all are there


_logger = logging.getLogger("leo_tf")


class WorkerLost(InputError):
    """Another worker ended, or is not heard of any more."""


def join(cluster, statement, timeout):
    """Meet the other workers and return the strategy of all; before any other operation of TensorFlow.

    Args:
      cluster: Cluster of at least two workers.
      statement: what has to be alike on all workers, and `fault`, as for `rendezvous`.
      timeout: seconds, a whole number: to appear in, and without a heartbeat after which a worker is lost.

    Returns:
      tf.distribute.MultiWorkerMirroredStrategy over all GPUs of all workers, or their CPUs.

    Raises:
      InputError: as `rendezvous`, or a port is taken.
    """
    gpus = len(tf.config.list_physical_devices("GPU"))
    rendezvous(cluster, {**statement, "tensorflow": tf.__version__, "GPUs": gpus}, timeout)
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=1000 * (timeout + _ROOM),
        heartbeat_timeout_in_ms=1000 * timeout,
        shutdown_barrier_timeout_in_ms=10_000,
        coordinated_jobs=[coordination.CoordinatedJob(name="worker", num_tasks=len(cluster.addresses))],
    )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.number,
        num_accelerators={"GPU": gpus} if gpus else {},
        rpc_layer="grpc",
    )
    try:
        seconds = timeout + 2 * _ROOM
        count = len(cluster.addresses)
        _logger.info("Connecting %d workers; if one is gone by now, this ends in %d s.", count, seconds)
        with _ended_if_it_hangs(seconds):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except (tf.errors.OpError, RuntimeError) as error:
        raise InputError(
            f"TensorFlow cannot connect {cluster.name()} to the others ({first_line(error)}); expected "
            "free ports, open between the workers. Give other ports in workers, or wait until the ports are free."
        ) from None
    # TensorFlow now notes SIGTERM for its own ends and goes on; until training catches it, it should end a worker.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    return strategy


@contextlib.contextmanager
def _ended_if_it_hangs(seconds):
    """End the process if the block takes longer.

    TensorFlow connects the workers without an end and without letting go of Python's lock: no thread of ours could run.
    It hangs only where a worker died between the rendezvous and here.
    """
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def watched(cluster, timeout, advice=GOES_ON):
    """Turn the errors that TensorFlow raises in the block when a worker is lost into WorkerLost, and tell the others.

    Of three workers the second would else see only that the first one has ended, not that it ended for the third.

    Args:
      cluster, timeout, advice: as for `loss_of`.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise
    except tf.errors.OpError as error:
        said = loss_of(str(error), cluster, timeout, advice)
        if not said:
            raise
        _report(said)
        raise WorkerLost(said) from None


@contextlib.contextmanager
def telling():
    """Tell the other workers of any error of the block, so that they end too."""
    try:
        yield
    except WorkerLost:
        raise
    except BaseException as error:
        _report(str(error) if isinstance(error, InputError) else f"{type(error).__name__} {error}")
        raise


def loss_of(text, cluster, timeout, advice=GOES_ON):
    """Return what an error of TensorFlow says of lost workers, in our words; empty if it speaks of none.

    Args:
      text: the error's.
      cluster: Cluster.
      timeout: seconds without a heartbeat.
      advice: what to do when a worker is lost, a sentence that all workers have.
    """
    if not _OF_THE_CLUSTER.search(text):  # any error of an operation names its device, as /job:worker/...
        return ""
    if found := re.search(rf"/task:(\d+): {_REPORTED}(.*)", text):
        said = found[2].strip()
        return said if advice in said else f"{_named(cluster, int(found[1]))} ended: {said}"
    others = [int(each) for each in re.findall(r"/task:(\d+)", text) if int(each) != cluster.number]
    # An error that names none is of the connection to the chief, where the service is.
    lost = others[0] if others else 0
    return (
        f"{_named(cluster, lost)} is lost: its process ended, or nothing was heard of it for {timeout:g} seconds "
        f"(worker_timeout). {advice}"
    )


def _report(text):
    with contextlib.suppress(tf.errors.OpError, ValueError):
        context.context().report_error_to_cluster(tf.errors.ABORTED, _REPORTED + " ".join(text.split())[:1000])
        time.sleep(_TO_BE_HEARD)


def _named(cluster, index):
    name = cluster.name(index) if index < len(cluster.addresses) else f"worker {index}"
    return name[:1].upper() + name[1:]
