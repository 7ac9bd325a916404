"""What many workers say to each other, without them."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.training.distributed.collectives import Collectives, from_words, to_words


class Scores(NamedTuple):
    accuracy: np.ndarray
    loss: np.ndarray


ACCURACY = np.array([0.5, np.nan, -0.0, 0.25, 1.0], np.float32)
LOSS = np.array([[1e-300, 2.0, np.inf, -3.0, 0.1], [1.0, 2.0, 3.0, 4.0, 5.0]])


def score(indices):
    assert (np.diff(indices) == 1).all()
    return Scores(ACCURACY[indices], LOSS[:, indices])


def collectives_of(workers, number):
    cluster = SimpleNamespace(number=number, addresses=["a:1"] * workers)
    return Collectives(cluster, SimpleNamespace(extended=SimpleNamespace(worker_devices=["CPU"])), 5)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_tasks_spread_over_workers_are_scored_as_by_one(workers, batch_size, monkeypatch):
    said = [[] for _ in range(workers)]
    for number in range(workers):
        monkeypatch.setattr(Collectives, "total", lambda self, words: said[self.cluster.number].append(words) or words)
        collectives_of(workers, number).spread(score, 5, batch_size)
    for number in range(workers):
        heard = iter([sum(messages) for messages in zip(*said, strict=True)])
        monkeypatch.setattr(Collectives, "total", lambda self, words, heard=heard: next(heard))
        found = collectives_of(workers, number).spread(score, 5, batch_size)
        assert found.accuracy.tobytes() == ACCURACY.tobytes() and found.loss.tobytes() == LOSS.tobytes()
        assert next(heard, None) is None


def test_one_alone_scores_all():
    found = SINGLE_PROCESS.spread(score, 5, 2)
    assert found.accuracy is not None and found.loss.tobytes() == LOSS.tobytes()


@pytest.mark.parametrize(
    ("workers", "count", "most", "expected"), [(2, 10, 9, 5), (2, 10, 3, 3), (4, 1000, 200, 125), (3, 2, 9, 1)]
)
def test_batches_suit_a_workers_share(workers, count, most, expected):
    size = collectives_of(workers, 0).batch_size(count, most)
    assert size == expected == collectives_of(workers, 0).batch_size(count, size)


def test_all_work_is_somebodys():
    for count in range(9):
        assert [piece for number in range(4) for piece in collectives_of(4, number).shard(count)] == list(range(count))


def test_arrays_as_words_and_back():
    arrays = [np.float32(3.5), np.arange(5, dtype=np.int8).reshape(5, 1), np.zeros([0, 2])]
    for found, expected in zip(from_words(to_words(arrays), arrays), arrays, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype and found.shape == expected.shape
    assert not to_words(arrays, keep=False).any()
