"""The benchmark of extraction: its photographs are read as they are, its numbers belong together."""

import io

import numpy as np
import pytest
from PIL import Image

from leo_tf.benchmark import extraction
from leo_tf.features.settings import NetworkConfig


def test_photographs_differ_and_are_of_a_photographs_size():
    first, second = extraction.photograph(0), extraction.photograph(1)
    image = Image.open(io.BytesIO(first))
    assert image.format == "JPEG" and image.size == (extraction.WIDTH, extraction.HEIGHT)
    assert 20_000 < len(first) < 120_000 and first != second and first == extraction.photograph(0)
    assert np.asarray(image).std() > 20


def test_every_image_is_embedded_and_memory_is_noted(monkeypatch):
    monkeypatch.setattr(extraction, "_ROUNDS", 1)
    monkeypatch.setattr(extraction, "_READ_IN_A_ROUND", 32)
    runs, run = [], extraction.Extraction.run

    def noted(self, *arguments):
        runs.append(run(self, *arguments))
        return runs[-1]

    monkeypatch.setattr(extraction.Extraction, "run", noted)
    found = extraction.measure(70, NetworkConfig(depth=10, width=1), 16)
    assert len(runs) == 1 and len(runs[0].source) == 70 and found["extracted"] == runs[0].images_per_second
    assert found["network"] == "WRN-10-1, 16 pixels" and found["kilobytes"] == pytest.approx(47, abs=20)
    for name in ("inspected", "extracted", "network_alone", "reading_alone"):
        assert found[name] > 0
    assert len(found["megabytes"]) == 10
    assert np.isnan(found["megabytes_most"]) or found["megabytes_most"] >= max(found["megabytes"]) > 50
    assert np.isnan(found["megabytes_most"]) or found["megabytes_at_the_end"] > 50
