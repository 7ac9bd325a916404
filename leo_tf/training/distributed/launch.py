"""From meeting the other workers to the end of the work: what a command of many workers does in this process."""

import contextlib
import logging

from leo_tf.training.distributed.collectives import END, Collectives
from leo_tf.training.distributed.connection import WorkerLost, join, telling
from leo_tf.training.distributed.worker_loop import ChiefWork, run_worker

# What may differ from worker to worker: where things lie, and what only the chief looks at.
_OF_ONE_WORKER = frozenset(
    {
        *("data_path", "cache_dir", "download", "images", "init_from", "checkpoint_path", "extractor", "weights"),
        *("tasks", "write_tasks", "output", "compare_to", "seed_runs"),
    }
)
_AGAIN = "Give the same command to all workers again."
_logger = logging.getLogger("leo_tf")


def together(cluster, settings, timeout, fault, make_work, train):
    """Take part in a run of many workers, all of which take every step; returns the exit status.

    Args:
      cluster: Cluster of at least two workers.
      settings: {name: value}, what has to be alike on all workers, but for where things lie.
      timeout: seconds, as for `join`.
      fault: why the chief cannot begin, in words for all; empty if it can.
      make_work: function from a Collectives to the work, as for Trainer.
      train: function from the work to the exit status: the chief's way, with a Trainer.

    Raises:
      InputError: as `join` and `make_work`.
      WorkerLost: another worker ended.
    """
    collectives = Collectives(cluster, join(cluster, _statement(settings, fault), timeout), timeout)
    with telling(), collectives.watched():
        work = make_work(collectives)
    _logger.info("Training as %s of %d.", cluster.name(), collectives.count)
    if not collectives.is_chief:
        return run_worker(work, collectives)
    chief_work = ChiefWork(work, collectives)
    with chief_work.leading() as status:
        status.append(train(chief_work))
    return status[0]


def once(cluster, settings, timeout, fault, share, finish):
    """Share one piece of work among many workers, which the chief then finishes alone; returns the exit status.

    Args:
      cluster, settings, timeout, fault: as for `together`.
      share: function from a Collectives to what is found, in which all workers do the same, but for their shares.
      finish: function of what is found to the exit status; the others wait for the chief to come back from it.

    Raises:
      InputError: as `join`, `share` and `finish`.
      WorkerLost: another worker ended before the work was done.
    """
    collectives = Collectives(cluster, join(cluster, _statement(settings, fault), timeout), timeout, _AGAIN)
    _logger.info("Working as %s of %d.", cluster.name(), collectives.count)
    with telling(), collectives.watched():
        found = share(collectives)
    if not collectives.is_chief:
        status = collectives.broadcast_command().number
        print("Done with all workers; the results are on worker 0.")
        return status
    with telling(), collectives.watched():
        status = finish(found)
    with contextlib.suppress(WorkerLost):  # all is written
        collectives.broadcast_command(END, status)
    return status


def _statement(settings, fault):
    from leo_tf import __version__

    settings = {name: value for name, value in settings.items() if name not in _OF_ONE_WORKER}
    return {"leo_tf": __version__, "settings": settings, "fault": fault}
