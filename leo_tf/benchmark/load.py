"""A loaded model under many threads that ask without a pause: latencies, refusals, and whether memory stays flat."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf.benchmark.memory import resident_megabytes
from leo_tf.export.validation import reason_of

_MALFORMED = 0.01  # share of the requests
_MOST_WAYS, _MOST_SHOTS, _MOST_QUERIES = 10, 5, 50
_FASTEST, _FINENESS, _PLACES = 1e-5, 1.01, 2000  # seconds; places of latencies, each 1 % longer: up to an hour


class RefusedError(Exception):
    """The documented answer to a malformed request; the message is the reason."""


class Latencies:
    """Counts of latencies: as small after a million requests as after one, so that memory can be judged."""

    def __init__(self):
        self._counts = np.zeros(_PLACES, np.int64)

    def add(self, seconds):
        """Count one."""
        place = math.log(max(seconds, _FASTEST) / _FASTEST, _FINENESS)
        self._counts[min(int(place), _PLACES - 1)] += 1

    def milliseconds(self, percent):
        """Return what so many percent of them did not exceed, to 1 %; NaN of none."""
        if not self._counts.any():
            return math.nan
        place = np.searchsorted(self._counts.cumsum(), math.ceil(self._counts.sum() * percent / 100))
        return 1000 * _FASTEST * _FINENESS ** (int(place) + 1)


def mixed_request(rng, dim):
    """Return the arrays of a request of one task: 2-10 ways, 1-5 shots, 1-50 queries, drawn by a NumPy Generator."""
    ways = rng.integers(2, _MOST_WAYS + 1)
    labels = np.repeat(np.arange(ways, dtype=np.int32), rng.integers(1, _MOST_SHOTS + 1))
    return {
        "support_x": rng.standard_normal((1, len(labels), dim), np.float32),
        "support_y": labels[np.newaxis],
        "query_x": rng.standard_normal((1, rng.integers(1, _MOST_QUERIES + 1), dim), np.float32),
    }


def spoil(request, rng):
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


def in_process(signatures):
    """Return a function that answers a request by a SavedModel's signatures in this process."""
    signature = signatures["serving_default"]

    def ask(request):
        try:
            return {name: tensor.numpy() for name, tensor in signature(**_tensors(request)).items()}
        except tf.errors.InvalidArgumentError as error:
            raise RefusedError(reason_of(error)) from None
        except (TypeError, ValueError) as error:  # another dimension than the signature's
            raise RefusedError(str(error)) from None

    return ask


def _tensors(request):
    return {name: tf.constant(array) for name, array in request.items()}


def measure(ways_to_ask, dim, seconds, threads=16, seed=0):
    """Ask without a pause, after one request by each way, one request in a hundred malformed.

    Args:
      ways_to_ask: {name: function of a request's arrays that returns the answer's, or raises RefusedError}; every
        request takes one of them at random.
      dim: dimensions of the model's embeddings.
      seconds: how long.
      threads: that ask at once.
      seed: of the requests.

    Returns:
      {"seconds", "answered", "refused", "wrong": {what is wrong: times} (a malformed request that was answered, another
      that was not, an answer that is none), "milliseconds": {way: {"50", "95", "99", "100" percent: of the answers}},
      "megabytes": the process's after each tenth of the time}.
    """
    for ask in ways_to_ask.values():  # the first answer takes seconds: TensorFlow prepares the graph
        ask(mixed_request(np.random.default_rng(seed), dim))
    started = time.monotonic()
    end, wrong, lock = started + seconds, Counter[str](), threading.Lock()
    latencies = {name: Latencies() for name in ways_to_ask}
    counts, megabytes = {"answered": 0, "refused": 0}, []

    def work(thread):
        rng = np.random.default_rng([seed, thread])
        while time.monotonic() < end:
            request, malformed = mixed_request(rng, dim), bool(rng.random() < _MALFORMED)
            if malformed:
                spoil(request, rng)
            name = list(ways_to_ask)[rng.integers(len(ways_to_ask))]
            begun = time.perf_counter()
            outcome, fault = _outcome(ways_to_ask[name], request, malformed)
            taken = time.perf_counter() - begun
            with lock:
                if fault:
                    wrong[f"{name}: {fault}"] += 1
                else:
                    counts[outcome] += 1
                    if outcome == "answered":
                        latencies[name].add(taken)

    with ThreadPoolExecutor(threads) as pool:
        asking = [pool.submit(work, thread) for thread in range(threads)]
        for tenth in range(1, 11):
            time.sleep(max(0.0, started + seconds * tenth / 10 - time.monotonic()))
            megabytes.append(resident_megabytes())
        for each in asking:
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


def _outcome(ask: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]], request, malformed):
    """Return ("answered" or "refused", what is wrong with it, empty for nothing)."""
    try:
        answer = ask(request)["probabilities"]
    except RefusedError as error:
        return "refused", "" if malformed else f"refused a good request: {str(error)[:200]}"
    except Exception as error:
        return "", f"{type(error).__name__}: {str(error)[:200]}"
    if malformed:
        return "answered", "answered a malformed request"
    shape = (1, request["query_x"].shape[1], request["support_y"].max() + 1)
    if answer.shape != shape or not np.allclose(answer.sum(axis=-1), 1, atol=1e-4):
        return "answered", f"an answer of shape {answer.shape}, or no probabilities; expected {shape}"
    return "answered", ""


def text(found):
    """Return lines that say what `measure` found."""
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
