"""Before TensorFlow connects the workers: are all there, and were they started alike?

TensorFlow itself would wait for a worker that never appears, without an end and deaf to signals. So the workers first
meet in plain sockets, on the chief's own port, which TensorFlow takes afterwards.
"""

import contextlib
import json
import selectors
import socket
import time
from typing import Any

from leo_tf.errors import InputError

_AGAIN = 0.2  # seconds from one attempt to the next
_MOST_BYTES = 2**20  # of a statement
_MOST_SECONDS_FOR_A_FAULT = 10  # that the chief waits to tell its own to the others
_SAME = "Give all workers the same command, but for worker_index, and the same data."


def rendezvous(cluster, statement, timeout):
    """Wait until all workers are there, and compare what they state.

    Args:
      cluster: Cluster.
      statement: {name: value}, dicts among the values, that goes to JSON; `fault`, if it is there and not empty, says
        why this worker cannot begin.
      timeout: seconds from this call on after which who is missing is missing.

    Raises:
      InputError: a worker is missing, has a fault or states something else than the chief, on all workers in the same
        words; or this worker's port cannot be had.
    """
    answer = (_hold if cluster.is_chief else _attend)(cluster, statement, timeout)
    if answer:
        raise InputError(answer)


def objection(cluster, statements):
    """Return why workers with these statements, {number: statement}, cannot train together; empty if they can.

    Every worker finds the same words.
    """
    for index in sorted(statements):
        if fault := statements[index].get("fault"):
            return fault if len(cluster.addresses) == 1 else f"{_capital(cluster.name(index))}: {fault}"
    chief = _flat(statements[0])
    for index in sorted(statements):
        mine = _flat(statements[index])
        differing = [
            f"{name}={_text(mine.get(name))} on {cluster.name(index)}, {name}={_text(chief.get(name))} on "
            f"{cluster.name(0)}"
            for name in {**chief, **mine}
            if mine.get(name) != chief.get(name)
        ]
        if differing:
            return f"The workers differ: {'; '.join(differing)}. {_SAME}"
    return ""


def _flat(statement):
    found: dict = {}
    for name, value in statement.items():
        found |= value if isinstance(value, dict) else {name: value}
    return found


def _text(value):
    return "none" if value is None else str(value)


def _capital(text):
    return text[:1].upper() + text[1:]


def _hold(cluster, statement, timeout):
    """As the chief: listen until all have said theirs, answer all."""
    port = cluster.addresses[0].rpartition(":")[2]
    fault, heard = statement.get("fault"), {0: statement}
    guests: dict = {}  # {socket: what it has said so far}
    present: dict = {}  # {socket: number of a worker that has said its own, and waits}
    until = time.monotonic() + (min(timeout, _MOST_SECONDS_FOR_A_FAULT) if fault else timeout)
    with contextlib.ExitStack() as opened:
        try:
            door = opened.enter_context(_listening(int(port), len(cluster.addresses)))
        except OSError as error:
            return f"{_capital(cluster.name(0))} cannot listen on port {port} ({error.strerror}); give it a free port."
        waiting = opened.enter_context(selectors.DefaultSelector())
        waiting.register(door, selectors.EVENT_READ)
        while len(heard) < len(cluster.addresses) and time.monotonic() < until:
            for key, _ in waiting.select(_AGAIN):
                guest: Any = key.fileobj
                if guest is door:
                    guest, _ = door.accept()
                    guest.setblocking(False)
                    waiting.register(opened.enter_context(guest), selectors.EVENT_READ)
                    guests[guest] = bytearray()
                elif guest in present:
                    if _has_left(guest):  # another may come in its place
                        waiting.unregister(guest)
                        del heard[present.pop(guest)]
                elif (found := _read(guest, guests[guest])) is not None:
                    number = found.pop("worker", None)
                    if isinstance(number, int) and 0 < number < len(cluster.addresses) and number not in heard:
                        heard[number], present[guest] = found, number
                    else:
                        waiting.unregister(guest)
                        _answer(guest, _uninvited(cluster, number))
        missing = [each for each in range(len(cluster.addresses)) if each not in heard]
        if missing and not fault:
            answer = _absent(cluster, missing, timeout)
        else:
            answer = objection(cluster, heard)
        for each in present:
            _answer(each, answer)
    return answer


def _listening(port, backlog):
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=backlog)
    return socket.create_server(("", port), backlog=backlog)


def _read(guest, so_far):
    """Add what has come; return the statement when it is whole, {} if it is none, None while there is more to come."""
    try:
        piece = guest.recv(65536)
    except BlockingIOError:
        return None
    except OSError:
        piece = b""
    if not piece:  # it left before it had said all
        return {}
    so_far += piece
    if not so_far.endswith(b"\n") and len(so_far) < _MOST_BYTES:
        return None
    return _parsed(so_far)


def _has_left(guest):
    try:
        return not guest.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _parsed(line):
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # a stranger at the door
        return {}
    return found if isinstance(found, dict) else {}


def _answer(guest, text):
    with contextlib.suppress(OSError):
        guest.setblocking(True)
        guest.settimeout(5)
        guest.sendall(json.dumps({"answer": text}).encode() + b"\n")


def _attend(cluster, statement, timeout):
    """As another worker: tell the chief, wait for its answer."""
    host, _, port = cluster.addresses[0].rpartition(":")
    until = time.monotonic() + timeout
    while (left := until - time.monotonic()) > 0:
        with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), left) as chief:
            chief.sendall(json.dumps({"worker": cluster.number, **statement}).encode() + b"\n")
            # The chief waits from its own start on, which may be later than this worker's.
            chief.settimeout(timeout + 5)
            with chief.makefile("rb") as lines:
                found = _parsed(lines.readline(_MOST_BYTES))
            if "answer" in found:
                return found["answer"]
        time.sleep(_AGAIN)
    return _absent(cluster, [0], timeout)


def _absent(cluster, missing, timeout):
    names = ", ".join(cluster.name(each) for each in missing)
    return (
        f"{_capital(names)} did not appear within {timeout:g} seconds (worker_timeout); expected the same command on "
        "all workers, and the ports open between them. Start all workers, or give a longer worker_timeout."
    )


def _uninvited(cluster, number):
    return (
        f"Two workers said that they are worker {number}, or there is none of that number; expected the numbers 0 to "
        f"{len(cluster.addresses) - 1}, each once. Give every worker its own worker_index."
    )
