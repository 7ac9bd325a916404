"""Rendezvous of the workers before TensorFlow connects them: are all of them running, with equal settings?

TensorFlow's coordination service does not do this: it waits for a missing worker without end, whatever its
cluster_register_timeout_in_ms says, and ignores SIGTERM meanwhile (measured with TensorFlow 2.21). So the workers first
connect to a plain socket on the chief's port, which TensorFlow takes over afterwards.
"""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from leo_tf.config.cluster import Cluster
from leo_tf.errors import InputError

_RETRY_SECONDS = 0.2
_MAX_LINE_BYTES = 2**20
_MAX_SECONDS_WITH_ERROR = 10  # for which a chief that cannot start waits, to tell the others why
_HINT = "Give all workers the same command, except for worker_index, and the same data."


def rendezvous(cluster: Cluster, facts: Mapping[str, Any], timeout: float) -> None:
    """Wait until all workers have connected, at most `timeout` seconds, and compare their facts.

    Facts are {name: value or dict of these}, for JSON; an `error`, [message, *settings], says why this worker cannot
    start. If one is missing, cannot start or has other facts than the chief, all raise the same InputError.
    """
    error = asyncio.run(_serve(cluster, facts, timeout)) if cluster.is_chief else _connect(cluster, facts, timeout)
    if error:
        raise InputError(*error)


def find_difference(cluster: Cluster, facts: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """Return why the workers, {number: facts}, cannot work together: [message, *settings]; empty if they can."""
    for number in sorted(facts):
        if error := facts[number].get("error"):
            message, *settings = error
            return [f"{cluster.title(number)}: {message}", *settings]
    expected = _flat(facts[0])
    for number in sorted(facts):
        found = _flat(facts[number])
        names = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
        if names:
            here, chief = cluster.name(number), cluster.name(0)
            values = [f"{n}={found.get(n, 'none')} on {here}, {n}={expected.get(n, 'none')} on {chief}" for n in names]
            return [f"The workers differ: {'; '.join(values)}. {_HINT}", *names]
    return []


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in facts.items():
        found |= value if isinstance(value, dict) else {name: value}
    return found


async def _serve(cluster: Cluster, own: Mapping[str, Any], timeout: float) -> list[str]:
    """Collect the facts of all workers as the chief, answer each of them, and return the answer."""
    count, has_error = len(cluster.addresses), bool(own.get("error"))
    facts: dict[int, Mapping[str, Any]] = {0: own}
    connected: dict[int, asyncio.StreamWriter] = {}
    complete = asyncio.Event()

    async def serve_worker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):  # the connection broke, the line is too long
            line = await reader.readline()
            received = _parse(line) if line.endswith(b"\n") else {}
            number = received.pop("worker", None)
            if not isinstance(number, int) or not 0 < number < count or number in facts:
                message = (
                    f"worker_index={number} is already taken or out of range; expected each of 0 to {count - 1} once. "
                    "Give every worker its own worker_index."
                )
                await _send(writer, [message, "worker_index"])
                return
            facts[number], connected[number] = received, writer
            if len(facts) == count:
                complete.set()
            await reader.read()  # until the worker disconnects; a restarted one may take its place
            del facts[number], connected[number]

    port = cluster.addresses[0].rpartition(":")[2]
    try:
        dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual else socket.AF_INET
        listener = socket.create_server(("", int(port)), family=family, dualstack_ipv6=dual, backlog=count)
    except OSError as error:
        return [f"{cluster.title(0)} cannot listen on port {port} ({error.strerror}); give it a free port.", "workers"]
    server = await asyncio.start_server(serve_worker, sock=listener, limit=_MAX_LINE_BYTES)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(complete.wait(), min(timeout, _MAX_SECONDS_WITH_ERROR) if has_error else timeout)
    missing = [number for number in range(count) if number not in facts]
    answer = _missing(cluster, missing, timeout) if missing and not has_error else find_difference(cluster, facts)
    for writer in list(connected.values()):
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(_send(writer, answer), 5)
    server.close()
    return answer


async def _send(writer: asyncio.StreamWriter, answer: list[str]) -> None:
    writer.write(json.dumps({"answer": answer}).encode() + b"\n")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def _parse(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line; empty if it is something else, from a process that is no worker."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _connect(cluster: Cluster, facts: Mapping[str, Any], timeout: float) -> list[str]:
    """Send the facts of this worker to the chief, and return its answer."""
    host, _, port = cluster.addresses[0].rpartition(":")
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), left) as chief:
            chief.sendall(json.dumps({"worker": cluster.number, **facts}).encode() + b"\n")
            # The chief counts the timeout from its own start, which may be later than this worker's.
            chief.settimeout(timeout + 5)
            with chief.makefile("rb") as lines:
                received = _parse(lines.readline(_MAX_LINE_BYTES))
            if "answer" in received:
                return received["answer"]
        time.sleep(_RETRY_SECONDS)
    return _missing(cluster, [0], timeout)


def _missing(cluster: Cluster, numbers: list[int], timeout: float) -> list[str]:
    names = ", ".join([cluster.title(numbers[0]), *map(cluster.name, numbers[1:])])
    return [
        f"{names} did not appear within {timeout:g} seconds (worker_timeout); expected the same command on "
        "all workers, and the ports open between them. Start all workers, or give a longer worker_timeout.",
        *("worker_timeout", "workers"),
    ]
