"""Addresses of the workers of a run: from flags, from TF_CONFIG, or from Slurm."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from leo_tf.errors import InputError

_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:,/\[\]]+):([0-9]{1,5})")
_HINT = (
    "give workers=host:port,host:port and worker_index=K, or set TF_CONFIG, or start the same command on every worker "
    "with srun"
)
_MAX_TASKS_PER_NODE = 64


class Cluster(NamedTuple):
    """Workers of a run. Worker 0 is the chief, which alone writes the run directory."""

    addresses: tuple[str, ...]  # "host:port" of every worker, in the order of their numbers
    number: int  # of this worker

    @property
    def is_chief(self) -> bool:
        return self.number == 0

    def name(self, number: int) -> str:
        """Name a worker in a message."""
        return f"worker {number} ({self.addresses[number]})"

    def title(self, number: int) -> str:
        """Name a worker at the beginning of a sentence."""
        return f"W{self.name(number)[1:]}"


def find_cluster(workers: str, worker_index: int | None, environment: Mapping[str, str]) -> Cluster:
    """Find the workers of this run: from "host:port,host:port" and an index, else from TF_CONFIG or SLURM_*."""
    if workers:
        return _validated([each.strip() for each in workers.split(",")], worker_index, "workers", "worker_index")
    if worker_index is not None:
        raise InputError(f"worker_index={worker_index} was given without workers; {_HINT}.", "worker_index", "workers")
    if environment.get("TF_CONFIG"):
        return _from_tf_config(environment["TF_CONFIG"])
    if "SLURM_PROCID" in environment:
        return _from_slurm(environment)
    raise InputError(
        f"distribution=multi_worker was given, but nothing names the workers; {_HINT}.",
        *("distribution", "workers", "worker_index"),
    )


def _validated(addresses: Sequence[Any], index: Any, source: str, index_source: str) -> Cluster:
    for address in addresses:
        found = _HOST_AND_PORT.fullmatch(address) if isinstance(address, str) else None
        if not found or not 0 < int(found[2]) < 65536:
            raise InputError(f"{source} has {address!r}; expected host:port, e.g. node1:2222, for each worker.", source)
    for address in addresses:
        if addresses.count(address) > 1:
            raise InputError(
                f"{source} has {address} twice; expected a different host or port for each worker.", source
            )
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(addresses):
        raise InputError(
            f"{index_source}={index} was given with {len(addresses)} workers; expected a whole number from 0 to "
            f"{len(addresses) - 1}, a different one on each worker.",
            index_source,
        )
    return Cluster(tuple(addresses), index)


def _from_tf_config(text: str) -> Cluster:
    expected = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": K}}'
    message = f"TF_CONFIG is {text[:200]!r}; expected {expected}"
    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        addresses = [*jobs.get("chief", []), *jobs.get("worker", [])]
        kind, index = task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{message}.") from None
    others = set(jobs) - {"chief", "worker"}
    if others or kind not in ("chief", "worker") or not addresses:
        raise InputError(f"{message}; parameter servers and evaluators are not supported.")
    if kind == "worker" and index >= 0:
        index += len(jobs.get("chief", []))
    return _validated(addresses, index, "TF_CONFIG", "TF_CONFIG's task index")


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    """Return the cluster of a Slurm step with one worker per task, distributed in blocks.

    tf.distribute.cluster_resolver.SlurmClusterResolver needs nvidia-smi even on nodes without GPUs, and sorts hosts as
    strings, n10 before n2, whereas Slurm numbers tasks in the order of its node list.
    """
    try:
        index, job = int(environment["SLURM_PROCID"]), int(environment["SLURM_JOB_ID"])
        hosts = expand_hosts(environment["SLURM_STEP_NODELIST"])
        counts = expand_counts(environment["SLURM_STEP_TASKS_PER_NODE"])
    except (KeyError, ValueError) as error:
        raise InputError(
            f"Slurm's variables cannot be read ({error}); expected those of a step started with srun. Use srun, "
            "or give workers and worker_index.",
            *("workers", "worker_index"),
        ) from None
    # Each job has ports of its own, since two jobs may share a node; all are below the range of ephemeral ports.
    first = 15_000 + job % 250 * _MAX_TASKS_PER_NODE
    addresses = [f"{h}:{first + task}" for h, count in zip(hosts, counts, strict=False) for task in range(count)]
    cluster = _validated(addresses, index, "Slurm's node list", "SLURM_PROCID")
    node, expected = environment.get("SLURMD_NODENAME"), addresses[index].rpartition(":")[0]
    if node and node != expected:
        raise InputError(
            f"Task {index} of the Slurm step runs on {node}; expected {expected}, as with tasks in blocks. Give srun "
            "--distribution=block."
        )
    return cluster


def expand_hosts(text: str) -> list[str]:
    """Expand a Slurm node list: "n[08-10,12],login" gives ["n08", "n09", "n10", "n12", "login"]."""
    hosts = []
    parts = re.findall(r"[^,\[]+(?:\[[^\]]*\][^,\[]*)*", text)
    if ",".join(parts) != text:
        raise ValueError(f"{text!r} is not a node list")
    for part in parts:
        expanded = [""]
        for plain, ranges in re.findall(r"([^\[\]]*)(?:\[([^\]]*)\])?", part):
            expanded = [f"{host}{plain}{number}" for host in expanded for number in _expand_numbers(ranges)]
        hosts += expanded
    return hosts


def _expand_numbers(ranges: str) -> list[str]:
    """Expand "08-10,12" to numbers of the same width; an empty text gives [""]."""
    numbers = []
    for part in ranges.split(","):
        low, _, high = part.partition("-")
        numbers += [f"{number:0{len(low)}}" for number in range(int(low), int(high or low) + 1)] if low else [""]
    return numbers


def expand_counts(text: str) -> list[int]:
    """Expand Slurm's tasks per node: "2(x3),1" gives [2, 2, 2, 1]."""
    counts = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if not found:
            raise ValueError(f"{text!r} does not give the tasks per node")
        counts += [int(found[1])] * int(found[2] or 1)
    return counts
