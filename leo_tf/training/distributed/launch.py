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
_RERUN_HINT = "Give the same command to all workers again."
_logger = logging.getLogger("leo_tf")


def train_together(
    cluster: Cluster,
    settings: Mapping[str, Any],
    timeout: int,
    error: Sequence[str],
    make_work: Callable[[Collectives], Work],
    train: Callable[[Any], int],
) -> int:
    """Take part in a run of many workers, all of which take every step; return the exit status.

    Args:
      settings: {name: value}; those that may not differ between workers are compared.
      timeout: seconds, as for `connect`.
      error: why the chief cannot start, [message, *settings]; empty if it can.
      make_work: function from the Collectives to the Work.
      train: function from the Work to the exit status, called by the chief; the others follow its commands.
    """
    collectives = _connect(cluster, settings, timeout, error, RESUME_HINT)
    with report_errors(), collectives.detect_lost_workers():
        work = make_work(collectives)
    if not collectives.is_chief:
        return run_worker(work, collectives)
    chief_work = ChiefWork(work, collectives)
    with chief_work.lead() as status:
        status.append(train(chief_work))
    return status[0]


def run_together(
    cluster: Cluster,
    settings: Mapping[str, Any],
    timeout: int,
    error: Sequence[str],
    share: Callable[[Collectives], Any],
    finish: Callable[[Any], int],
) -> int:
    """Share one job among many workers, which the chief then finishes alone; return the exit status.

    All workers call `share` with the Collectives; the chief calls `finish` with the result while the others wait. The
    other arguments are those of `train_together`.
    """
    collectives = _connect(cluster, settings, timeout, error, _RERUN_HINT)
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


def _connect(
    cluster: Cluster, settings: Mapping[str, Any], timeout: int, error: Sequence[str], hint: str
) -> Collectives:
    from leo_tf import __version__

    compared = {name: value for name, value in settings.items() if name not in _LOCAL_SETTINGS}
    facts = {"leo_tf": __version__, "settings": compared, "error": list(error)}
    collectives = Collectives(cluster, connect(cluster, facts, timeout), timeout, hint)
    _logger.info("Running as %s of %d.", cluster.name(cluster.number), collectives.count)
    return collectives
