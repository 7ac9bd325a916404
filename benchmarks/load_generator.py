"""Load generator: many threads that send mixed requests without a pause, and what comes of them."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf
from measuring import resident_megabytes

from leo_tf.export.validation import reason_of

_MALFORMED = 0.01  # share of the requests
_MOST_WAYS, _MOST_SHOTS, _MOST_QUERIES = 10, 5, 50
_FASTEST, _GROWTH, _BINS = 1e-5, 1.01, 2000  # seconds; each bin is 1 % wider than the one before: up to an hour


Answer = Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]]


class RefusedError(Exception):
    """Documented answer to a malformed request; the message is the reason."""


class Latencies:
    """Histogram of latencies; its size is fixed, so that it does not add to the memory that is measured."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)

    def add(self, seconds: float) -> None:
        """Count a latency."""
        index = math.log(max(seconds, _FASTEST) / _FASTEST, _GROWTH)
        self._counts[min(int(index), _BINS - 1)] += 1

    def milliseconds(self, percent: float) -> float:
        """Return a percentile, to 1 %; NaN without latencies."""
        if not self._counts.any():
            return math.nan
        index = np.searchsorted(self._counts.cumsum(), math.ceil(self._counts.sum() * percent / 100))
        return 1000 * _FASTEST * _GROWTH ** (int(index) + 1)


def mixed_request(rng: np.random.Generator, dim: int) -> dict[str, np.ndarray]:
    """Return the arrays of a random request of one task: 2-10 ways, 1-5 shots, 1-50 queries."""
    ways = rng.integers(2, _MOST_WAYS + 1)
    labels = np.repeat(np.arange(ways, dtype=np.int32), rng.integers(1, _MOST_SHOTS + 1))
    return {
        "support_x": rng.standard_normal((1, len(labels), dim), np.float32),
        "support_y": labels[np.newaxis],
        "query_x": rng.standard_normal((1, rng.integers(1, _MOST_QUERIES + 1), dim), np.float32),
    }


def spoil(request: dict[str, np.ndarray], rng: Any) -> None:
    """Make a request malformed, in place, in one of the ways that clients do."""
    kind = rng.integers(6)
    if kind == 0:
        request["support_x"][0, 0, 0] = np.nan
    elif kind == 1:
        request["query_x"][0, -1, -1] = np.inf
    elif kind == 2:
        request["support_y"][0, 0] = rng.choice([-1, 2**31 - 1])
    elif kind == 3:
        request["support_y"][0] = 1  # none of class 0
    elif kind == 4:
        request["support_y"] = request["support_y"][:, 1:]
    else:
        request["query_x"] = request["query_x"][..., 1:]


def in_process(signatures: Any) -> Answer:
    """Return a function that answers a request with a SavedModel's signatures in this process."""
    signature = signatures["serving_default"]

    def answer(request: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            tensors = {name: tf.constant(array) for name, array in request.items()}
            return {name: tensor.numpy() for name, tensor in signature(**tensors).items()}
        except tf.errors.InvalidArgumentError as error:
            raise RefusedError(reason_of(error)) from None
        except (TypeError, ValueError) as error:  # another dimension than the signature's
            raise RefusedError(str(error)) from None

    return answer


def run(servers: Mapping[str, Answer], dim: int, seconds: float, threads: int = 16, seed: int = 0) -> dict[str, Any]:
    """Send requests without a pause, one in a hundred malformed, after one warm-up request to each server.

    Args:
      servers: {name: function that maps a request's arrays to the answer's, or raises RefusedError}; every request goes
        to one of them at random.
      dim: dimensions of the model's embeddings.
      seconds: duration.
      threads: number of threads that send requests.
      seed: of the requests.

    Returns:
      {"seconds", "answered", "refused", "wrong": {fault: count} (a malformed request that was answered, a good one that
      was refused, an invalid answer, any other error), "milliseconds": {server: {"50", "95", "99", "100" percent:
      latency}}, "megabytes": memory of this process after each tenth of the time}.
    """
    for answer in servers.values():  # the first answer takes seconds: TensorFlow prepares the graph
        answer(mixed_request(np.random.default_rng(seed), dim))
    started = time.monotonic()
    end, wrong, lock = started + seconds, Counter[str](), threading.Lock()
    latencies = {name: Latencies() for name in servers}
    counts, megabytes = {"answered": 0, "refused": 0}, []

    def send(thread: int) -> None:
        rng = np.random.default_rng([seed, thread])
        while time.monotonic() < end:
            request, malformed = mixed_request(rng, dim), bool(rng.random() < _MALFORMED)
            if malformed:
                spoil(request, rng)
            name = list(servers)[rng.integers(len(servers))]
            begun = time.perf_counter()
            outcome, fault = _outcome(servers[name], request, malformed)
            taken = time.perf_counter() - begun
            with lock:
                if fault:
                    wrong[f"{name}: {fault}"] += 1
                else:
                    counts[outcome] += 1
                    if outcome == "answered":
                        latencies[name].add(taken)

    with ThreadPoolExecutor(threads) as pool:
        sending = [pool.submit(send, thread) for thread in range(threads)]
        for tenth in range(1, 11):
            time.sleep(max(0.0, started + seconds * tenth / 10 - time.monotonic()))
            megabytes.append(resident_megabytes())
        for each in sending:
            each.result()
    return {
        "seconds": time.monotonic() - started,
        **counts,
        "wrong": dict(wrong),
        "milliseconds": {
            name: {f"{percent}": each.milliseconds(percent) for percent in (50, 95, 99, 100)}
            for name, each in latencies.items()
        },
        "megabytes": megabytes,
    }


def _outcome(answer: Answer, request: Mapping[str, np.ndarray], malformed: bool) -> tuple[str, str]:
    """Return "answered" or "refused", and what is wrong with that or an empty text."""
    try:
        probabilities = answer(request)["probabilities"]
    except RefusedError as error:
        return "refused", "" if malformed else f"refused a good request: {str(error)[:200]}"
    except Exception as error:
        return "", f"{type(error).__name__}: {str(error)[:200]}"
    if malformed:
        return "answered", "answered a malformed request"
    shape = (1, request["query_x"].shape[1], request["support_y"].max() + 1)
    if probabilities.shape != shape or not np.allclose(probabilities.sum(axis=-1), 1, atol=1e-4):
        return "answered", f"an answer of shape {probabilities.shape}, or not probabilities; expected {shape}"
    return "answered", ""


def text(found: Mapping[str, Any]) -> str:
    """Return a summary of what `run` returned."""
    lines = [
        f"{found['answered'] / found['seconds']:.0f} answers/s over {found['seconds']:.0f} s; {found['answered']} "
        f"answered, {found['refused']} malformed ones refused, {sum(found['wrong'].values())} wrong"
    ]
    lines += [f"  {times} times: {what}" for what, times in found["wrong"].items()]
    lines += [
        f"  {name}: half within {of['50']:.1f} ms, 95 % within {of['95']:.1f}, 99 % within {of['99']:.1f}, "
        f"all within {of['100']:.0f}"
        for name, of in found["milliseconds"].items()
    ]
    return "\n".join([*lines, f"  memory, MB, after every tenth: {', '.join(f'{m:.0f}' for m in found['megabytes'])}"])
