"""Where the workers of a run are: from flags, from TF_CONFIG, or from Slurm."""

import json
import re
from typing import NamedTuple

from leo_tf.errors import InputError

_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:,/\[\]]+):([0-9]{1,5})")
_WAYS = (
    "give workers=host:port,host:port and worker_index=K, or set TF_CONFIG, or start it with srun, the same command on "
    "every worker"
)
_MOST_TASKS_OF_A_NODE = 64


class Cluster(NamedTuple):
    """The workers of a run. Worker 0 is the chief, which alone has the run folder."""

    addresses: tuple[str, ...]  # "host:port" of every worker, in the order of their numbers
    number: int  # this worker's own

    @property
    def is_chief(self):
        """Whether this is worker 0."""
        return self.number == 0

    def name(self, number=None):
        """Name a worker, this one unless a number is given, for messages."""
        number = self.number if number is None else number
        return f"worker {number} ({self.addresses[number]})"


def find_cluster(workers, worker_index, environment):
    """Find the workers of this run.

    Args:
      workers: "host:port,host:port", or empty.
      worker_index: this worker's number, or None.
      environment: mapping of environment variables, read for TF_CONFIG and SLURM_* where `workers` is empty.

    Returns:
      Cluster.

    Raises:
      InputError: they are named nowhere, an address is malformed or there twice, or the index is not one of theirs.
    """
    if workers:
        return _checked([each.strip() for each in workers.split(",")], worker_index, "workers", "worker_index")
    if worker_index is not None:
        raise InputError(f"worker_index={worker_index} was given without workers; {_WAYS}.")
    if environment.get("TF_CONFIG"):
        return _of_tf_config(environment["TF_CONFIG"])
    if "SLURM_PROCID" in environment:
        return _of_slurm(environment)
    raise InputError(f"distribution=multi_worker was given, and nothing says which workers there are; {_WAYS}.")


def _checked(addresses, index, what, what_index):
    for address in addresses:
        found = _HOST_AND_PORT.fullmatch(address) if isinstance(address, str) else None
        if not found or not 0 < int(found[2]) < 65536:
            raise InputError(f"{what} has {address!r}; expected host:port, as node1:2222, for every worker.")
    if len(set(addresses)) < len(addresses):
        twice = next(each for each in addresses if addresses.count(each) > 1)
        raise InputError(f"{what} has {twice} twice; expected another host or another port for every worker.")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(addresses):
        raise InputError(
            f"{what_index}={index} was given with {len(addresses)} workers; expected a whole number from 0 to "
            f"{len(addresses) - 1}, another one on every worker."
        )
    return Cluster(tuple(addresses), index)


def _of_tf_config(text):
    wrong = f"TF_CONFIG is {text[:200]!r}; expected " + (
        '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": K}}'
    )
    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        addresses = [*jobs.get("chief", []), *jobs.get("worker", [])]
        kind, index = task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{wrong}.") from None
    others = set(jobs) - {"chief", "worker"}
    if others or kind not in ("chief", "worker") or not addresses:
        raise InputError(f"{wrong}; there are no parameter servers or evaluators here.")
    if kind == "worker" and index >= 0:
        index += len(jobs.get("chief", []))
    return _checked(addresses, index, "TF_CONFIG", "TF_CONFIG's task index")


def _of_slurm(environment):
    """Return the cluster of a Slurm step, one worker a task, in blocks.

    Not tf.distribute.cluster_resolver.SlurmClusterResolver: it needs nvidia-smi on nodes without GPUs, and sorts hosts
    as texts, n10 before n2, where Slurm numbers tasks in the order of its list.
    """
    try:
        index, job = int(environment["SLURM_PROCID"]), int(environment["SLURM_JOB_ID"])
        hosts = expand_hosts(environment["SLURM_STEP_NODELIST"])
        counts = expand_counts(environment["SLURM_STEP_TASKS_PER_NODE"])
    except (KeyError, ValueError) as error:
        raise InputError(
            f"Slurm's variables cannot be read ({error}); expected those of a step started with srun. Start it so, or "
            "give workers and worker_index."
        ) from None
    # Ports of the job's own, below those that systems give to clients: two jobs may share a node.
    first = 15_000 + job % 250 * _MOST_TASKS_OF_A_NODE
    addresses = [f"{h}:{first + task}" for h, count in zip(hosts, counts, strict=False) for task in range(count)]
    found = _checked(addresses, index, "Slurm's list of nodes", "SLURM_PROCID")
    here, listed = environment.get("SLURMD_NODENAME"), addresses[index].rpartition(":")[0]
    if here and here != listed:
        raise InputError(
            f"Task {index} of the Slurm step runs on {here}; expected {listed}, as tasks in blocks would. Give srun "
            "--distribution=block."
        )
    return found


def expand_hosts(text):
    """Expand Slurm's list of nodes, as "n[08-10,12],login": ["n08", "n09", "n10", "n12", "login"].

    Raises:
      ValueError: it is no such list.
    """
    hosts = []
    parts = re.findall(r"[^,\[]+(?:\[[^\]]*\][^,\[]*)*", text)
    if ",".join(parts) != text:
        raise ValueError(f"{text!r} is no list of nodes")
    for part in parts:
        found = [""]
        for plain, ranges in re.findall(r"([^\[\]]*)(?:\[([^\]]*)\])?", part):
            found = [f"{host}{plain}{number}" for host in found for number in _numbers(ranges)]
        hosts += found
    return hosts


def _numbers(ranges):
    """Return the numbers of "08-10,12" as texts of the same width; of an empty text, an empty one."""
    if not ranges:
        return [""]
    found = []
    for each in ranges.split(","):
        low, _, high = each.partition("-")
        found += [f"{number:0{len(low)}}" for number in range(int(low), int(high or low) + 1)]
    return found


def expand_counts(text):
    """Expand Slurm's tasks per node, as "2(x3),1": [2, 2, 2, 1].

    Raises:
      ValueError: it is no such list.
    """
    counts = []
    for each in text.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", each)
        if not found:
            raise ValueError(f"{text!r} says no tasks per node")
        counts += [int(found[1])] * int(found[2] or 1)
    return counts
