"""Commands that run in one process or on many workers: the flags of the workers, and how the work starts."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

from absl import flags

from leo_tf.commands.help import grouped
from leo_tf.commands.logs import load_tensorflow
from leo_tf.config.cluster import Cluster, find_cluster
from leo_tf.errors import InputError

_GROUP = "Workers"
_MAX_EXIT_SECONDS = 120


def define_worker_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags that describe the workers of --distribution=multi_worker; they are not part of a run."""
    where: dict[str, Any] = {"flag_values": flag_values, "module_name": _GROUP}
    about = "comma-separated host:port of all workers; empty: from TF_CONFIG or Slurm"
    flags.DEFINE_string("workers", "", about, **where)
    about = "number of this worker; 0 is the chief, which alone writes files"
    flags.DEFINE_integer("worker_index", None, about, **where)
    about = "connection and heartbeat timeout in seconds"
    flags.DEFINE_integer("worker_timeout", 60, about, lower_bound=2, upper_bound=86_400, **where)


def define_sharing_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags of a command that does not train, but can share its work among many workers."""
    about = "none: use this process only; multi_worker: share the work among several machines, see workers."
    flags.DEFINE_enum(
        "distribution", "none", ["none", "multi_worker"], about, flag_values=flag_values, module_name="Run"
    )
    define_worker_flags(flag_values)


def cluster_of(distribution: str, flag_values: flags.FlagValues = flags.FLAGS) -> Cluster | None:
    """Return the Cluster that the flags and the environment describe; None for a single process."""
    workers: Any = flag_values["workers"].value
    index: Any = flag_values["worker_index"].value
    if distribution != "multi_worker":
        for name, value in (("workers", workers), ("worker_index", index)):
            if value not in ("", None):
                raise InputError(
                    f"{name}={value} was given with distribution={distribution}; expected distribution=multi_worker. "
                    f"Give that too, or leave {name} out.",
                    *(name, "distribution"),
                )
        return None
    cluster = find_cluster(workers, index, os.environ)
    return cluster if len(cluster.addresses) > 1 else None


def run_work(
    config: Any,
    values: flags.FlagValues,
    check: Callable[[], object],
    make_work: Callable[[Any], Any],
    train: Callable[[Any], int],
) -> int:
    """Train in this process, or as one of many workers; return the exit status.

    `check` raises InputError for mistakes that can be found before TensorFlow is loaded. `make_work` makes the Work for
    a Trainer from a Collectives, or None for a single process; `train` returns the exit status.
    """
    cluster = cluster_of(config.training.distribution, values)
    if cluster is None:
        check()
        load_tensorflow()
        return train(make_work(None))
    with _joined(cluster, check, config.flat(), values) as collectives:
        from leo_tf.training.distributed.launch import train_together

        return train_together(collectives, make_work, train)


def run_shared(
    values: flags.FlagValues, check: Callable[[], object], share: Callable[[Any], Any], finish: Callable[[Any], int]
) -> int:
    """Do a job that is not training in this process, or share it among many workers; return the exit status.

    `check` raises InputError for mistakes that can be found before TensorFlow is loaded. All workers call `share` with
    their Collectives, or SINGLE_PROCESS; with its result, the chief calls `finish`, which returns the exit status.
    """
    cluster = cluster_of(values.distribution, values)
    if cluster is None:
        check()
        load_tensorflow()
        from leo_tf.evaluation.single_process import SINGLE_PROCESS

        return finish(share(SINGLE_PROCESS))
    own = {group: chosen for group, chosen in grouped(values).items() if group != _GROUP}
    settings = {flag.name: flag.value for chosen in own.values() for flag in chosen}
    with _joined(cluster, check, settings, values, resumes=False) as collectives:
        from leo_tf.training.distributed.launch import run_together

        return run_together(collectives, share, finish)


@contextlib.contextmanager
def _joined(
    cluster: Cluster, check: Callable[[], object], settings: Any, values: flags.FlagValues, resumes: bool = True
) -> Iterator[Any]:
    """Connect to the other workers; all of them print an error of the chief's check. The process ends soon after."""
    error: list[str] = []
    if cluster.is_chief:
        try:
            check()
        except InputError as found:
            error = [str(found), *found.settings]
    load_tensorflow()
    from leo_tf.training.distributed.launch import RERUN_HINT, RESUME_HINT, join

    try:
        yield join(cluster, settings, values.worker_timeout, error, RESUME_HINT if resumes else RERUN_HINT)
    finally:  # TensorFlow disconnects from the other workers when Python exits, and has been seen to hang there
        if hasattr(signal, "alarm"):
            signal.alarm(_MAX_EXIT_SECONDS)
