"""A command of many workers in this process, from the rendezvous to the exit status."""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leo_tf.config.cluster import Cluster
from leo_tf.training.distributed.collectives import END, Collectives
from leo_tf.training.distributed.connection import RESUME_HINT, WorkerLost, connect, report_errors
from leo_tf.training.distributed.worker_loop import ChiefWork, run_worker
from leo_tf.training.work import Work

# Settings that may differ between workers: paths, and what only the chief uses.
_LOCAL_SETTINGS = frozenset(
    {
        *("data_path", "cache_dir", "download", "images", "init_from", "checkpoint_path", "extractor", "weights"),
        *("tasks", "write_tasks", "output", "compare_to", "seed_runs"),
    }
)
RERUN_HINT = "Give the same command to all workers again."
_logger = logging.getLogger("leo_tf")


def join(
    cluster: Cluster, settings: Mapping[str, Any], timeout: int, error: Sequence[str], hint: str = RESUME_HINT
) -> Collectives:
    """Connect this process to the other workers of a command, whose settings are compared unless they may differ.

    `error`, [message, *settings], says why the chief cannot start, and is empty if it can; `hint` what to do when a
    worker is lost; the timeout is as for `connect`.
    """
    from leo_tf import __version__

    compared = {name: value for name, value in settings.items() if name not in _LOCAL_SETTINGS}
    facts = {"leo_tf": __version__, "settings": compared, "error": list(error)}
    collectives = Collectives(cluster, connect(cluster, facts, timeout), timeout, hint)
    _logger.info("Running as %s of %d.", cluster.name(cluster.number), collectives.count)
    return collectives


def train_together(
    collectives: Collectives, make_work: Callable[[Collectives], Work], train: Callable[[Any], int]
) -> int:
    """Train with all workers; return the exit status. The chief calls `train`, the others follow its commands."""
    with report_errors(), collectives.detect_lost_workers():
        work = make_work(collectives)
    return ChiefWork(work, collectives).lead(train) if collectives.is_chief else run_worker(work, collectives)


def run_together(collectives: Collectives, share: Callable[[Collectives], Any], finish: Callable[[Any], int]) -> int:
    """Call `share` on all workers, and with its result `finish` on the chief; return the exit status."""
    with report_errors(), collectives.detect_lost_workers():
        result = share(collectives)
    if not collectives.is_chief:
        status = collectives.broadcast_command().argument
        print("Done with all workers; the results are on worker 0.")
        return status
    with report_errors(), collectives.detect_lost_workers():
        status = finish(result)
    with contextlib.suppress(WorkerLost):  # all results are written
        collectives.broadcast_command(END, status)
    return status
