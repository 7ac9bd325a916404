"""The serving benchmark runs and its numbers belong together."""

import pytest

from leo_tf.benchmark import serving


def test_measures_every_request(small_model, monkeypatch):
    monkeypatch.setattr(serving, "REQUESTS", {"one task": serving.Request(1), "3 tasks": serving.Request(3)})
    result = serving.measure(repeats=1, units=1)
    assert set(result) == {"load_seconds", "one task", "3 tasks", "one task, adapt", "one task, predict"}
    times = result["3 tasks"]
    assert times["tasks_per_second"] == pytest.approx(3000 / times["median"])
    assert times["low"] <= times["median"] <= times["high"]
