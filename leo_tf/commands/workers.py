"""Commands that one process runs, or many workers: their flags, and the way from these to the run."""

import contextlib
import os
import signal

from absl import flags

from leo_tf.commands.help import grouped
from leo_tf.commands.logs import load_tensorflow
from leo_tf.config.cluster import find_cluster
from leo_tf.errors import InputError

_GROUP = "Workers"
_MOST_SECONDS_TO_END = 120


def define_worker_flags(flag_values=flags.FLAGS):
    """Define where the workers of --distribution=multi_worker are; no part of what makes a run."""
    where = {"flag_values": flag_values, "module_name": _GROUP}
    about = "host:port of every worker, with commas between; empty: from TF_CONFIG or Slurm"
    flags.DEFINE_string("workers", "", about, **where)
    about = "number of this one among the workers; 0 is the chief, which alone writes"
    flags.DEFINE_integer("worker_index", None, about, **where)
    about = "seconds for a worker to appear in, and without a heartbeat after which it is lost"
    flags.DEFINE_integer("worker_timeout", 60, about, lower_bound=2, upper_bound=86_400, **where)


def define_sharing_flags(flag_values=flags.FLAGS):
    """Define whether a command that is no run shares its work among many workers, and where they are."""
    about = "none: this process; multi_worker: this command on several machines, see workers"
    flags.DEFINE_enum(
        "distribution", "none", ["none", "multi_worker"], about, flag_values=flag_values, module_name="Run"
    )
    define_worker_flags(flag_values)


def cluster_of(distribution, flag_values=flags.FLAGS):
    """Return the Cluster that the flags and the environment describe; None but for many workers.

    Raises:
      InputError: as `find_cluster`, or there are flags of workers without distribution=multi_worker.
    """
    workers, index = flag_values["workers"].value, flag_values["worker_index"].value
    if distribution != "multi_worker":
        for name, value in (("workers", workers), ("worker_index", index)):
            if value not in ("", None):
                raise InputError(
                    f"{name}={value} was given with distribution={distribution}; expected distribution=multi_worker. "
                    f"Give that too, or leave {name} out."
                )
        return None
    cluster = find_cluster(workers, index, os.environ)
    return cluster if len(cluster.addresses) > 1 else None


def run_work(config, values, refuse_early, make_work, train):
    """Train alone, or as one of many workers; returns the exit status.

    Args:
      config: the run's configuration.
      values: parsed flags, with those of `define_worker_flags`.
      refuse_early: function that raises InputError for what can be known of the run's folder before anything is loaded.
      make_work: function of a Collectives, or of None, to the work for a Trainer.
      train: function of the work to the exit status.

    Raises:
      InputError: as these functions, `cluster_of` and `together`.
    """
    cluster = cluster_of(config.training.distribution, values)
    if cluster is None:
        refuse_early()
        load_tensorflow()
        return train(make_work(None))
    fault = _begun(cluster, refuse_early)
    from leo_tf.training.distributed.launch import together

    with _ended_in_time():
        return together(cluster, config.flat(), values.worker_timeout, fault, make_work, train)


def run_shared(values, refuse_early, share, finish):
    """Do work that is no run alone, or share it among many workers; returns the exit status.

    Args:
      values: parsed flags, with those of `define_sharing_flags`.
      refuse_early: function that raises InputError for what the chief can know before anything is loaded.
      share: function of a Collectives, or of SINGLE_PROCESS, to what is found; all workers call it.
      finish: function of what is found to the exit status; the chief alone calls it.

    Raises:
      InputError: as these functions, `cluster_of` and `once`.
    """
    cluster = cluster_of(values.distribution, values)
    if cluster is None:
        refuse_early()
        load_tensorflow()
        from leo_tf.evaluation.single_process import SINGLE_PROCESS

        return finish(share(SINGLE_PROCESS))
    fault = _begun(cluster, refuse_early)
    from leo_tf.training.distributed.launch import once

    own = {group: chosen for group, chosen in grouped(values).items() if group != _GROUP}
    settings = {flag.name: flag.value for chosen in own.values() for flag in chosen}
    with _ended_in_time():
        return once(cluster, settings, values.worker_timeout, fault, share, finish)


def _begun(cluster, refuse_early):
    """Return why the chief cannot begin, of which all workers have to hear; and load TensorFlow."""
    fault = ""
    if cluster.is_chief:
        try:
            refuse_early()
        except InputError as error:
            fault = str(error)
    load_tensorflow()
    return fault


@contextlib.contextmanager
def _ended_in_time():
    """Let the system end the process, by SIGALRM, if it is still there two minutes after the block.

    TensorFlow takes leave of the other workers when Python ends, and was seen to hang there, all being done and said.
    """
    try:
        yield
    finally:
        if hasattr(signal, "alarm"):
            signal.alarm(_MOST_SECONDS_TO_END)
