"""The load generator counts faults, and its percentiles are those of the latencies."""

import itertools
import math

import load_generator
import numpy as np
import pytest

pytestmark = pytest.mark.long

KINDS = 6  # of malformed requests
GOOD = {"support_y": np.array([[0, 1]])}


def answer(request):
    ways = request["support_y"].max() + 1
    return {"probabilities": np.full((1, request["query_x"].shape[1], ways), 1 / ways)}


def is_malformed(request):
    labels, queries = request["support_y"], request["query_x"]
    shape = labels.shape == request["support_x"].shape[:2] and queries.shape[-1] == 3
    finite = np.isfinite(request["support_x"]).all() and np.isfinite(queries).all()
    return not (shape and finite and set(labels[0].tolist()) == set(range(len(set(labels[0].tolist())))))


def careful(request):
    if is_malformed(request):
        raise load_generator.RefusedError("no")
    return answer(request)


def test_correct_server_has_no_faults():
    found = load_generator.run({"one": careful, "two": careful}, 3, 0.5, threads=4)
    assert found["wrong"] == {} and found["answered"] > 50 and found["refused"] > 0
    assert len(found["megabytes"]) == 10 and found["milliseconds"].keys() == {"one", "two"}
    assert "malformed ones refused, 0 wrong" in load_generator.text(found)


class After:
    """Server that fails after its first answer."""

    def __init__(self, error):
        self._error, self._answered = error, False

    def __call__(self, request):
        if self._answered:
            raise self._error
        self._answered = True
        return answer(request)


@pytest.mark.parametrize(
    "server,fault",
    [
        (lambda request: answer(request | GOOD) if is_malformed(request) else answer(request), "malformed"),
        (lambda request: {"probabilities": careful(request)["probabilities"] * 2}, "not probabilities"),
        (lambda request: {"probabilities": careful(request)["probabilities"][:, :, 1:]}, "an answer of shape"),
        (After(load_generator.RefusedError("never")), "refused a good request: never"),
        (After(OSError("gone")), "OSError: gone"),
    ],
)  # fmt: skip
def test_faults_are_counted(server, fault):
    found = load_generator.run({"one": server}, 3, 0.3, threads=2)
    assert any(fault in what for what in found["wrong"]), found["wrong"]
    assert fault in load_generator.text(found)


def test_spoiled_requests_are_malformed():
    rng = np.random.default_rng(0)
    for kind, _ in itertools.product(range(KINDS), range(20)):
        request = load_generator.mixed_request(rng, 3)
        assert not is_malformed(request)
        load_generator.spoil(request, Fixed(kind))
        assert is_malformed(request), kind


class Fixed:
    """Random generator that always draws the same kind."""

    def __init__(self, kind):
        self._kind = kind

    def integers(self, _):
        return self._kind

    def choice(self, values):
        return values[0]


def test_percentiles():
    latencies, seconds = load_generator.Latencies(), np.random.default_rng(0).lognormal(-5, 1, 5000)
    assert math.isnan(latencies.milliseconds(50))
    for each in seconds:
        latencies.add(each)
    for percent in (50, 95, 99, 100):
        expected = 1000 * np.percentile(seconds, percent, method="inverted_cdf")
        assert latencies.milliseconds(percent) == pytest.approx(expected, rel=0.0101)
