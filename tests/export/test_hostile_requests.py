"""Requests that would cost much are refused, without the memory that they ask for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from load_generator import RefusedError, in_process
from serving_memory import DIM, HOSTILE, STATUS, request

pytestmark = pytest.mark.long

MOST = 40  # MB more than before, at any moment
ROOT = Path(__file__).parents[2]
REFUSALS = {
    "10,000 examples": "more than 2000 examples",
    "10,000 examples, each a class": "more than 2000 examples",
    "5,000 tasks of two examples": "more than 2000 examples",
    "the label 2^31 - 1": "names more classes than a task has examples",
    "the label 2^31 as int32": "a negative label",
    "NaN in the support": "support_x holds NaN",
    "NaN in a query": "query_x holds NaN",
    "another dimension": "16",
    "no dimensions": "16",
    "no examples": "The support is empty",
}


def measure(what, saved_model):
    """Return what serving_memory.py prints, run in a process of its own: this one has other tests' memory."""
    paths = [str(ROOT / "tests"), str(ROOT / "benchmarks")]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, Path(__file__).with_name("serving_memory.py"), what, saved_model]
    environment["PYTHONPATH"] = os.pathsep.join([*paths, environment.get("PYTHONPATH", "")])
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def measured(saved_model):
    if not STATUS.exists():
        pytest.skip("needs Linux' /proc")
    return measure("hostile", saved_model)


@pytest.fixture(scope="module")
def answer(saved_model):
    """A function that answers a request; refusals are RefusedError."""
    loaded = tf.saved_model.load(str(saved_model))
    answer = in_process(loaded.signatures)
    yield lambda arrays: loaded and answer(arrays)


@pytest.mark.parametrize("name", HOSTILE)
def test_refused_before_memory_is_allocated(measured, name):
    refusal, megabytes = measured[name]
    assert REFUSALS[name] in refusal and megabytes < MOST


def test_the_measurement_sees_allocated_memory(measured):
    assert measured["80 MB are allocated"][1] > MOST


def test_memory_is_steady_over_a_thousand_requests(saved_model):
    assert measure("steady", saved_model) < 32


def test_no_queries_are_answered(answer):
    found = answer(request(4, queries=0))
    assert found["probabilities"].shape == (1, 0, 2) and found["classifier"].shape == (1, 2, DIM)


def test_as_many_examples_as_the_limit_are_answered(answer):
    found = answer(request(2000, queries=1))
    np.testing.assert_allclose(found["probabilities"].sum(axis=-1), 1, atol=1e-5)


def test_labels_of_64_bits_are_refused(answer):
    hostile = request(4)
    hostile["support_y"] = hostile["support_y"].astype(np.int64) + 2**31
    with pytest.raises(RefusedError, match="int"):
        answer(hostile)
