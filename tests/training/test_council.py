"""What many workers say to each other, without them."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from leo_tf.training.council import Council, from_words, to_words


class Scores(NamedTuple):
    accuracy: np.ndarray
    loss: np.ndarray


ACCURACY = np.array([0.5, np.nan, -0.0, 0.25, 1.0], np.float32)
LOSS = np.array([1e-300, 2.0, np.inf, -3.0, 0.1])


def score(indices):
    return Scores(ACCURACY[indices], LOSS[indices])


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_tasks_spread_over_workers_are_scored_as_by_one(workers, monkeypatch):
    said = []

    def spread(number):
        cluster = SimpleNamespace(number=number, addresses=["a:1"] * workers)
        council = Council(cluster, SimpleNamespace(extended=SimpleNamespace(worker_devices=["CPU"])), 5)
        return council.spread(score, 5)

    monkeypatch.setattr(Council, "total", lambda self, words: said.append(words) or words)
    for number in range(workers):
        spread(number)
    whole = sum(said)
    monkeypatch.setattr(Council, "total", lambda self, words: whole)
    for number in range(workers):
        found = spread(number)
        assert found.accuracy.tobytes() == ACCURACY.tobytes() and found.loss.tobytes() == LOSS.tobytes()


def test_arrays_as_words_and_back():
    arrays = [np.float32(3.5), np.arange(5, dtype=np.int8).reshape(5, 1), np.zeros([0, 2])]
    for found, expected in zip(from_words(to_words(arrays), arrays), arrays, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype and found.shape == expected.shape
    assert not to_words(arrays, keep=False).any()
