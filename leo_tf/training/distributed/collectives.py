"""Collectives: how the workers of a run exchange commands, JSON and arrays."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf.config.cluster import Cluster
from leo_tf.errors import InputError
from leo_tf.evaluation.progress import Progress
from leo_tf.training.distributed.connection import RESUME_HINT, WorkerLost, explain_loss, report
from leo_tf.training.distributed.rendezvous import find_difference

INITIALIZE, BROADCAST_STATE, STEP, VALIDATE, END = range(1, 6)  # commands of the chief
_MAX_MESSAGE_WORDS = 2**20


class Command(NamedTuple):
    """Next action of all workers."""

    kind: int  # one of INITIALIZE, BROADCAST_STATE, STEP, VALIDATE, END
    argument: int  # of STEP the number of steps, of END the exit status
    signal: int  # number of a signal that a worker received; 0 if none did


class Collectives:
    """Collective operations of the workers of a strategy, all of which call the same methods in the same order.

    Each operation is an exact sum of int64 vectors, to which every worker contributes its part and zeros elsewhere.
    TensorFlow's own operations offer less: ReplicaContext.all_gather does not take every dtype, and the key-value store
    of the coordination service keeps waiting for a worker that was lost. With `timeout` seconds without a heartbeat a
    worker counts as lost; `hint` says what to do then.
    """

    def __init__(self, cluster: Cluster, strategy: Any, timeout: float, hint: str = RESUME_HINT) -> None:
        self.cluster, self.strategy, self._timeout, self._hint = cluster, strategy, timeout, hint
        self._replicas_per_worker = len(strategy.extended.worker_devices)
        self.count, self.is_chief = len(cluster.addresses), cluster.is_chief

    @contextlib.contextmanager
    def detect_lost_workers(self) -> Iterator[None]:
        """Raise WorkerLost for an error of TensorFlow that means that a worker is lost, and tell the others.

        Otherwise the second of three workers would learn that the first one ended, but not that the third is the cause.
        """
        try:
            yield
        except tf.errors.ResourceExhaustedError:
            raise
        except tf.errors.OpError as error:
            explanation = explain_loss(str(error), self.cluster, self._timeout, self._hint)
            if not explanation:
                raise
            report(explanation)
            raise WorkerLost(explanation, *(["worker_timeout"] if "worker_timeout" in explanation else [])) from None

    def broadcast_command(self, kind: int = 0, argument: int = 0, signal: int = 0) -> Command:
        """Return the chief's Command on every worker; `signal` is the number of one that this worker received, or 0."""
        message = np.zeros(2 + self.count, np.int64)
        if self.is_chief:
            message[:2] = kind, argument
        message[2 + self.cluster.number] = signal
        message = self.sum(message)
        return Command(int(message[0]), int(message[1]), int(message[2:].max()))

    def broadcast(self, content: Any) -> Any:
        """Return the chief's content, which is encoded as JSON, on every worker."""
        return self.all_gather(content if self.is_chief else None)[0]

    def all_gather(self, content: Any) -> list[Any]:
        """Return the contents of all workers in their order, each encoded as JSON."""
        text = np.frombuffer(json.dumps(content).encode(), np.uint8)
        sizes = np.zeros(self.count, np.int64)
        sizes[self.cluster.number] = len(text)
        sizes = self.sum(sizes)
        rows = np.zeros([self.count, int(sizes.max())], np.uint8)
        rows[self.cluster.number, : len(text)] = text
        (rows,) = self.all_reduce([rows])
        return [json.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]

    def assert_equal(self, facts: Any) -> None:
        """Raise InputError, the same on all workers, unless their facts, as for `find_difference`, are equal."""
        if difference := find_difference(self.cluster, dict(enumerate(self.all_gather(facts)))):
            raise InputError(*difference)

    def broadcast_variables(self, variables: Sequence[Any]) -> None:
        """Assign the chief's values, bit for bit, to the variables of Keras or TensorFlow."""
        values = [np.asarray(tf.convert_to_tensor(variable)) for variable in variables]
        values = self.all_reduce(values if self.is_chief else [np.zeros_like(value) for value in values])
        if not self.is_chief:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def shard(self, count: int) -> range:
        """Return the indices of this worker's share of `count` items; the shares differ by at most one item."""
        start, stop = (count * number // self.count for number in (self.cluster.number, self.cluster.number + 1))
        return range(start, stop)

    def batch_size(self, count: int, largest: int) -> int:
        """Return how many of its share of `count` tasks a worker scores at once: at most `largest`, batches equal."""
        share = -(-count // self.count)
        return -(-share // -(-share // largest))

    def map_tasks(self, score: Callable[[np.ndarray], Any], count: int, batch_size: int) -> Any:
        """Score `count` tasks, each worker its share, and return the scores of all tasks on every worker.

        `score` is a function from consecutive indices [n] to a NamedTuple of NumPy arrays [..., n]. Workers exchange
        scores after each batch, at most `batch_size` per worker, and so detect soon that one is lost.
        """
        scores = []
        at_once = self.count * self.batch_size(count, batch_size)
        with Progress(f"evaluating with {self.count} workers", count, "scores") as progress:
            for first in range(0, count, at_once):
                scores.append(self._map_batch(score, np.arange(first, min(first + at_once, count))))
                progress.add(at_once)
        return type(scores[0])(*(np.concatenate(parts, axis=-1) for parts in zip(*scores, strict=True)))

    def _map_batch(self, score: Callable[[np.ndarray], Any], tasks: np.ndarray) -> Any:
        own = self.shard(len(tasks))
        # With more workers than tasks, one without any scores the first, for the shapes, and discards the scores.
        scores = score(tasks[own.start : own.stop] if own else tasks[:1])
        padded = [np.zeros([*part.shape[:-1], len(tasks)], part.dtype) for part in scores]
        for whole, part in zip(padded, scores, strict=True):
            whole[..., own.start : own.stop] = part[..., : len(own)]
        return type(scores)(*self.all_reduce(padded))

    def all_reduce(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return arrays to which each worker contributes its part, zero elsewhere; bit for bit."""
        return from_words(self.sum(to_words(arrays)), arrays)

    def sum(self, words: np.ndarray) -> np.ndarray:
        """Return the exact sum over the workers of an int64 vector, in messages of at most 8 MB."""
        pieces = [words[i : i + _MAX_MESSAGE_WORDS] for i in range(0, max(1, len(words)), _MAX_MESSAGE_WORDS)]
        with self.detect_lost_workers():
            return np.concatenate([self._sum(tf.constant(piece, tf.int64)).numpy() for piece in pieces])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def _sum(self, words: tf.Tensor) -> tf.Tensor:
        def add() -> tf.Tensor:
            replica = tf.distribute.get_replica_context()
            counts = replica.replica_id_in_sync_group % self._replicas_per_worker == 0  # one replica of each worker
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(counts, words, tf.zeros_like(words)))

        return self.strategy.experimental_local_results(self.strategy.run(add))[0]


def to_words(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """Return the bytes of arrays as one int64 vector, padded with zeros."""
    content = b"".join(array.tobytes() for array in arrays)
    return np.frombuffer(content + bytes(-len(content) % 8), np.int64)


def from_words(words: np.ndarray, like: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Undo `to_words`; the arrays have the shapes and dtypes of `like`."""
    content, arrays, offset = words.tobytes(), [], 0
    for array in like:
        arrays.append(np.frombuffer(content[offset : offset + array.nbytes], array.dtype).reshape(array.shape))
        offset += array.nbytes
    return arrays
