"""Memory of a process that serves a SavedModel, in MB; prints JSON.

python serving_memory.py hostile SAVED_MODEL: {case: [refusal or "", highest memory during the request - before]}
python serving_memory.py steady SAVED_MODEL: growth of 1,000 gRPC requests from 16 threads, after 300 others
"""

import importlib.util
import json
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf
from grpc_server import serving
from load_generator import RefusedError, in_process

ROOT = Path(__file__).parents[2]
STATUS = Path("/proc/self/status")
DIM, MANY = 16, 10_000


def request(examples, ways=2, queries=3, dim=DIM, tasks=1):
    rng = np.random.default_rng(0)
    return {
        "support_x": rng.standard_normal((tasks, examples, dim), np.float32),
        "support_y": np.tile(np.arange(examples, dtype=np.int32) % ways, (tasks, 1)),
        "query_x": rng.standard_normal((tasks, queries, dim), np.float32),
    }


def with_label(label):
    hostile = request(4)
    hostile["support_y"][0, 0] = label
    return hostile


def with_nan(where):
    hostile = request(4)
    hostile[where][0, 0, 0] = np.nan
    return hostile


HOSTILE = {
    "10,000 examples": lambda: request(MANY),
    "10,000 examples, each a class": lambda: request(MANY, ways=MANY),
    "5,000 tasks of two examples": lambda: request(2, tasks=5_000),
    "the label 2^31 - 1": lambda: with_label(2**31 - 1),
    "the label 2^31 as int32": lambda: with_label(np.array(2**31).astype(np.int32)),
    "NaN in the support": lambda: with_nan("support_x"),
    "NaN in a query": lambda: with_nan("query_x"),
    "another dimension": lambda: request(4, dim=DIM + 1),
    "no dimensions": lambda: request(4, dim=0),
    "no examples": lambda: request(0),
}


def megabytes(what):
    """Return VmRSS or VmHWM, the highest since it was reset, of this process; C++'s memory too."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def peak_of(action):
    """Return the result of a function, and by how much memory exceeded the present amount while it ran."""
    before = megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM to the present amount
    return action(), megabytes("VmHWM") - before


def hostile(signatures):
    answer = in_process(signatures)
    answer(request(2))

    def refusal(arrays):
        try:
            answer(arrays)
        except RefusedError as error:
            return str(error)
        return ""

    found = {}
    for name, make in HOSTILE.items():
        arrays = make()
        found[name] = peak_of(lambda arrays=arrays: refusal(arrays))
    found["80 MB are allocated"] = peak_of(lambda: np.ones(10_000_000).sum() and "")
    return found


def steady(signatures):
    specification = importlib.util.spec_from_file_location("client", ROOT / "examples" / "serving" / "grpc_client.py")
    client = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(client)
    requests = [request(examples, ways) for examples, ways in ((2, 2), (6, 3), (12, 6))]
    with serving({1: signatures}) as channel, ThreadPoolExecutor(16) as pool:

        def ask(index):
            return client.ask(channel, requests[index % 3])["probabilities"].shape

        list(pool.map(ask, range(300)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        list(pool.map(ask, range(1000)))
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


if __name__ == "__main__":
    loaded = tf.saved_model.load(sys.argv[2])
    print(json.dumps({"hostile": hostile, "steady": steady}[sys.argv[1]](loaded.signatures)))
