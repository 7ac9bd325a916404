"""Time requests to an exported LEO in this process; or, with --load, ask it from many threads without a pause.

python benchmarks/serving.py
python benchmarks/serving.py --load 60
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import load_generator
import numpy as np
import tensorflow as tf
from cases import DIM, SETTINGS, make_model
from measuring import Case, first_run, summarize, time_in_turns

from leo_tf.export import export


class Request(NamedTuple):
    """The shape of a request."""

    tasks: int
    ways: int = 5
    shots: int = 1
    queries: int = 75  # per task


REQUESTS = {
    "one task": Request(1),
    "one task, 5 shots": Request(1, shots=5),
    "one task, 20-way 5-shot": Request(1, ways=20, shots=5, queries=300),
    "64 tasks": Request(64),
}


def main() -> None:
    """Parse the command line, measure, print the results and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each of which times every request in turn")
    parser.add_argument("--answers", type=int, default=20, help="answers per round")
    parser.add_argument("--load", type=float, help="instead, seconds of mixed requests by 16 threads")
    parser.add_argument("--output", type=Path, help="JSON file for the measurements")
    arguments = parser.parse_args()
    found = measure_load(arguments.load) if arguments.load else measure(arguments.rounds, arguments.answers)
    if arguments.output:
        arguments.output.write_text(json.dumps(found, indent=2) + "\n")


def measure_load(seconds: float) -> dict[str, Any]:
    """Run the load generator on a model in this process; print and return what it found."""
    loaded, _ = loaded_model()
    found = load_generator.run({"in process": load_generator.in_process(loaded.signatures)}, DIM, seconds)
    print(load_generator.text(found))
    return found


def measure(rounds: int, answers: int) -> dict[str, Any]:
    """Time REQUESTS to an untrained 640-dimensional LEO; print the times.

    Returns:
      {"load_seconds", and for each of REQUESTS and each half of the first: {"median", "low", "high" (milliseconds per
      answer), "seconds_to_first", "tasks_per_second"}}.
    """
    loaded, seconds = loaded_model()
    cases = {name: make_case(loaded.signatures, request) for name, request in REQUESTS.items()}
    for half in ("adapt", "predict"):
        cases[f"one task, {half}"] = make_case(loaded.signatures, REQUESTS["one task"], half)
    result: dict[str, Any] = {"load_seconds": seconds}
    print("640 dimensions, milliseconds per answer")
    for name, milliseconds in time_in_turns(cases, dict.fromkeys(cases, answers), rounds).items():
        times, tasks = summarize(milliseconds), REQUESTS.get(name, REQUESTS["one task"]).tasks
        per_second = 1000 * tasks / times.median
        first = {"seconds_to_first": cases[name].seconds_to_first, "tasks_per_second": per_second}
        result[name] = {**times._asdict(), **first}
        print(f"  {name:30} {times.median:9.2f} ({times.low:.2f} to {times.high:.2f})   {per_second:.0f} tasks/s")
    return result


def loaded_model() -> tuple[Any, float]:
    """Export an untrained LEO of 640 dimensions; return it as loaded again, and the seconds that loading took."""
    with tempfile.TemporaryDirectory() as folder:
        version = export(make_model(SETTINGS["mini_1shot"]), folder)
        start = time.perf_counter()
        loaded = tf.saved_model.load(str(version))
        return loaded, time.perf_counter() - start


def make_case(signatures: Any, request: Request, signature: str = "serving_default") -> Case:
    """Return the Case of answering a Request by one of the signatures of a loaded SavedModel; a unit is one answer."""
    start = time.perf_counter()
    rng = np.random.default_rng(0)
    labels = np.tile(np.repeat(np.arange(request.ways), request.shots), (request.tasks, 1))
    support = {
        "support_x": tf.constant(rng.standard_normal((*labels.shape, DIM), np.float32)),
        "support_y": tf.constant(labels, tf.int32),
    }
    query_x = tf.constant(rng.standard_normal((request.tasks, request.queries, DIM), np.float32))
    inputs = {
        "serving_default": {**support, "query_x": query_x},
        "adapt": support,
        "predict": {"classifier": signatures["adapt"](**support)["classifier"], "query_x": query_x},
    }[signature]

    def run(count: int) -> None:
        for _ in range(count):
            for tensor in signatures[signature](**inputs).values():
                tensor.numpy()

    return first_run(run, start)


if __name__ == "__main__":
    main()
