"""From meeting the other workers to the end of the run: what a command of many workers does in this process."""

import logging

from leo_tf.training.council import Council
from leo_tf.training.lockstep import Led, follow
from leo_tf.training.workers import join, telling

# What may differ from worker to worker: where things lie, and what only the chief looks at.
_OF_ONE_WORKER = frozenset({"data_path", "cache_dir", "download", "images", "start_from"})
_logger = logging.getLogger("leo_tf")


def together(cluster, config, timeout, fault, make_work, train):
    """Take part in a run of many workers; returns the exit status.

    Args:
      cluster: Cluster of at least two workers.
      config: the run's configuration.
      timeout: seconds, as for `join`.
      fault: why the chief cannot begin, in words for all; empty if it can.
      make_work: function from a Council to the work, as for Trainer.
      train: function from the work to the exit status: the chief's way, with a Trainer.

    Raises:
      InputError: as `join` and `make_work`.
      WorkerLost: another worker ended.
    """
    strategy = join(cluster, _statement(config, fault), timeout)
    council = Council(cluster, strategy, timeout)
    with telling(), council.watched():
        work = make_work(council)
    _logger.info("Training as %s of %d.", cluster.name(), len(cluster.addresses))
    if not cluster.is_chief:
        return follow(work, council)
    led = Led(work, council)
    with led.leading() as status:
        status.append(train(led))
    return status[0]


def _statement(config, fault):
    from leo_tf import __version__

    settings = {name: value for name, value in config.flat().items() if name not in _OF_ONE_WORKER}
    return {"leo_tf": __version__, "settings": settings, "fault": fault}
