"""What the tests of the benchmark share."""

import pytest

from leo_tf.benchmark import cases


@pytest.fixture
def small_model(monkeypatch):
    """The benchmark's own settings with a model that is traced quickly."""
    monkeypatch.setattr(cases, "_MODEL", {**cases._MODEL, "num_latents": 4, "finetuning_unroll_length": 1})
