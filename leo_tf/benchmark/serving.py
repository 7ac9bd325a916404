"""What an exported LEO costs a server: latency of one request, throughput of a batch, through the SavedModel."""

import tempfile
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf.benchmark import timing
from leo_tf.benchmark.cases import DIM, SETTINGS, Case, model_of
from leo_tf.export import export


class Request(NamedTuple):
    """The shape of a request."""

    tasks: int
    ways: int = 5
    shots: int = 1
    queries: int = 75  # of a task


REQUESTS = {
    "one task": Request(1),
    "one task, 5 shots": Request(1, shots=5),
    "one task, 20-way 5-shot": Request(1, ways=20, shots=5, queries=300),
    "64 tasks": Request(64),
}


def random_request(request, seed=0):
    """Return the tensors of a Request by name, random."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.repeat(np.arange(request.ways), request.shots), (request.tasks, 1))
    return {
        "support_x": tf.constant(rng.standard_normal((*labels.shape, DIM), np.float32)),
        "support_y": tf.constant(labels, tf.int32),
        "query_x": tf.constant(rng.standard_normal((request.tasks, request.queries, DIM), np.float32)),
    }


def serving(signatures, request, halves=("serving_default",)):
    """Return the Case of answering a Request in this process; a unit is one answer.

    Args:
      signatures: of the loaded SavedModel.
      request: Request.
      halves: which signatures to run: ("serving_default",), ("adapt",) or ("predict",).
    """
    start = time.perf_counter()
    tensors = random_request(request)
    support = {name: tensors[name] for name in ("support_x", "support_y")}
    classifier = signatures["adapt"](**support)["classifier"]
    inputs = {
        "serving_default": tensors,
        "adapt": support,
        "predict": {"classifier": classifier, "query_x": tensors["query_x"]},
    }

    def run(count):
        for _ in range(count):
            for name in halves:
                for tensor in signatures[name](**inputs[name]).values():
                    tensor.numpy()

    run(1)
    return Case(run, time.perf_counter() - start)


def loaded_model():
    """Export an untrained 640-dimensional LEO; return it as loaded again, and the seconds that loading took."""
    with tempfile.TemporaryDirectory() as folder:
        version = export(model_of(SETTINGS["mini_1shot"]), folder)
        start = time.perf_counter()
        loaded = tf.saved_model.load(str(version))
        return loaded, time.perf_counter() - start


def measure(repeats=5, units=20):
    """Export an untrained 640-dimensional LEO, load it and time REQUESTS.

    Args:
      repeats: rounds, each of which times every request in turn.
      units: answers in a turn.

    Returns:
      {"load_seconds", and for every name in REQUESTS and for each half of the first: {"median", "low", "high"
      (milliseconds an answer), "seconds_to_first", "tasks_per_second"}}.
    """
    loaded, seconds = loaded_model()
    cases = {name: serving(loaded.signatures, request) for name, request in REQUESTS.items()}
    cases |= {
        f"one task, {half}": serving(loaded.signatures, REQUESTS["one task"], (half,)) for half in ("adapt", "predict")
    }
    rounds = timing.in_turns(cases, dict.fromkeys(cases, units), repeats)
    result: dict = {"load_seconds": seconds}
    for name, milliseconds in rounds.items():
        times, tasks = timing.summarize(milliseconds), REQUESTS.get(name, REQUESTS["one task"]).tasks
        result[name] = {
            **times._asdict(),
            "seconds_to_first": cases[name].seconds_to_first,
            "tasks_per_second": 1000 * tasks / times.median,
        }
    return result
