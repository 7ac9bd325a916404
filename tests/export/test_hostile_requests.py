"""Requests that ask for much: refused, or answered, without taking the memory that they name."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from load_generator import RefusedError, in_process

STATUS = Path("/proc/self/status")
DIM = 16
MOST = 40  # MB more than before, at any moment
MANY = 10_000


def megabytes(what):
    """Return VmRSS or VmHWM, the highest since it was reset, of this process; C++'s memory too."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


@pytest.fixture(scope="module")
def ask(saved_model):
    """The server's answer, ready; refusals are RefusedError."""
    loaded = tf.saved_model.load(str(saved_model))
    ask = in_process(loaded.signatures)
    ask(request(2))
    yield lambda hostile: loaded and ask(hostile)


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


REFUSED = {
    "10,000 examples": (lambda: request(MANY), "more than 2000 examples"),
    "10,000 examples, each a class": (lambda: request(MANY, ways=MANY), "more than 2000 examples"),
    "5,000 tasks of two examples": (lambda: request(2, tasks=5_000), "more than 2000 examples"),
    "the label 2^31 - 1": (lambda: with_label(2**31 - 1), "names more classes than a task has examples"),
    "the label 2^31, as 32 bits hold it": (lambda: with_label(np.array(2**31).astype(np.int32)), "a negative label"),
    "NaN in the support": (lambda: with_nan("support_x"), "support_x holds NaN"),
    "NaN in a query": (lambda: with_nan("query_x"), "query_x holds NaN"),
    "another dimension": (lambda: request(4, dim=DIM + 1), "16"),
    "no dimensions": (lambda: request(4, dim=0), "16"),
    "no examples": (lambda: request(0), "The support is empty"),
}


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux' /proc")
@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_it_allocates(ask, name):
    make, message = REFUSED[name]
    hostile, before = make(), megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far is what it is now
    with pytest.raises(RefusedError, match=message):
        ask(hostile)
    assert megabytes("VmHWM") - before < MOST


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux' /proc")
def test_the_measure_sees_memory_that_is_taken():
    before = megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    np.ones(int(2 * MOST * 1e6 / 8))
    assert megabytes("VmHWM") - before > MOST


def test_no_queries_are_answered(ask):
    answer = ask(request(4, queries=0))
    assert answer["probabilities"].shape == (1, 0, 2) and answer["classifier"].shape == (1, 2, DIM)


def test_as_many_as_the_limit_are_answered(ask):
    answer = ask(request(2000, queries=1))
    np.testing.assert_allclose(answer["probabilities"].sum(axis=-1), 1, atol=1e-5)


def test_labels_that_no_32_bits_hold_are_of_another_type(ask):
    hostile = request(4)
    hostile["support_y"] = hostile["support_y"].astype(np.int64) + 2**31
    with pytest.raises(RefusedError, match="int"):
        ask(hostile)
