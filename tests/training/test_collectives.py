"""Collectives without the processes of the workers: each worker runs in turn, and the sums are made here."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from leo_tf import InputError
from leo_tf.config.cluster import Cluster
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.training.distributed.collectives import STEP, Collectives, from_words, to_words


class Scores(NamedTuple):
    accuracy: np.ndarray
    loss: np.ndarray


ACCURACY = np.array([0.5, np.nan, -0.0, 0.25, 1.0], np.float32)
LOSS = np.array([[1e-300, 2.0, np.inf, -3.0, 0.1], [1.0, 2.0, 3.0, 4.0, 5.0]])


def score(indices):
    assert (np.diff(indices) == 1).all()
    return Scores(ACCURACY[indices], LOSS[:, indices])


def collectives_of(workers, number):
    cluster = Cluster(tuple(f"a:{port + 1}" for port in range(workers)), number)
    return Collectives(cluster, SimpleNamespace(extended=SimpleNamespace(worker_devices=["CPU"])), 5)


@pytest.fixture
def run_all(monkeypatch):
    """A function that calls another one with the Collectives of each worker, and returns what the calls return.

    Each worker starts again until it knows the sum of every message.
    """

    class Unknown(Exception):
        pass

    def run(workers, call):
        sums = []
        while True:
            sent, returned = [], []
            for number in range(workers):
                known = iter(sums)

                def exchange(self, words, known=known, sent=sent):
                    if (found := next(known, None)) is None:
                        sent.append(words)
                        raise Unknown
                    return found

                monkeypatch.setattr(Collectives, "sum", exchange)
                try:
                    returned.append(call(collectives_of(workers, number)))
                except Unknown:
                    pass
                else:
                    assert next(known, None) is None
            assert len(sent) in (0, workers)  # all send the same number of messages
            if not sent:
                return returned
            sums.append(sum(sent))

    return run


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_map_tasks_equals_single_process(run_all, workers, batch_size):
    for found in run_all(workers, lambda collectives: collectives.map_tasks(score, 5, batch_size)):
        assert found.accuracy.tobytes() == ACCURACY.tobytes() and found.loss.tobytes() == LOSS.tobytes()


def test_single_process_scores_all_tasks():
    found = SINGLE_PROCESS.map_tasks(score, 5, 2)
    assert found.accuracy is not None and found.loss.tobytes() == LOSS.tobytes()


def test_all_gather_and_broadcast_of_json(run_all):
    contents = [{"name": "a"}, None, [1, "\u00e9", 0.1]]
    assert run_all(3, lambda each: each.all_gather(contents[each.cluster.number])) == [contents] * 3
    assert run_all(3, lambda each: each.broadcast(contents[each.cluster.number])) == [contents[0]] * 3


def test_commands_are_the_chiefs_and_signals_anybodys(run_all):
    def call(collectives):
        number = collectives.cluster.number
        return collectives.broadcast_command(*((0, 0) if number else (STEP, 7)), signal=15 if number == 2 else 0)

    assert run_all(3, call) == [(STEP, 7, 15)] * 3


def test_assert_equal_names_the_worker_that_differs(run_all):
    def call(collectives):
        with pytest.raises(InputError) as caught:
            collectives.assert_equal({"digest": "abc" if collectives.cluster.number < 2 else "def"})
        return str(caught.value)

    (message,) = set(run_all(3, call))
    assert "digest=def on worker 2 (a:3), digest=abc on worker 0 (a:1)" in message


@pytest.mark.parametrize(
    ("workers", "count", "largest", "expected"), [(2, 10, 9, 5), (2, 10, 3, 3), (4, 1000, 200, 125), (3, 2, 9, 1)]
)
def test_batch_size_divides_a_workers_share_evenly(workers, count, largest, expected):
    size = collectives_of(workers, 0).batch_size(count, largest)
    assert size == expected == collectives_of(workers, 0).batch_size(count, size)


def test_shards_cover_all_items_once():
    for count in range(9):
        assert [item for number in range(4) for item in collectives_of(4, number).shard(count)] == list(range(count))


def test_words_keep_every_bit():
    arrays = [np.float32([-0.0, np.nan, 1e-45]), np.int64(7), np.array([True]), np.zeros([0, 3]), np.int32([[1, -2]])]
    arrays = [*map(np.asarray, arrays), np.arange(5, dtype=np.int8).reshape(5, 1)]
    words = to_words(arrays)
    assert words.dtype == np.int64
    for found, array in zip(from_words(words, arrays), arrays, strict=True):
        assert found.shape == array.shape and found.dtype == array.dtype
        assert found.tobytes() == array.tobytes()
