"""How the workers of a run agree on what to do next: every message is one sum over all of them."""

import json
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf.errors import InputError
from leo_tf.evaluation.progress import Progress
from leo_tf.training.distributed.connection import GOES_ON, watched
from leo_tf.training.distributed.rendezvous import objection

STATE, STEPS, VALIDATE, END = 1, 2, 3, 4  # what the chief may ask for
_MOST_WORDS = 2**20  # in one message


class Order(NamedTuple):
    """What all do next."""

    what: int  # STATE: take over the chief's; STEPS: take `number` of them; VALIDATE; END: with exit status `number`
    number: int
    signal: int  # that some worker received, 0 if none did


class Collectives:
    """What the workers of a strategy say to each other; all of them call the same methods in the same order.

    Args:
      cluster: Cluster.
      strategy: of `join`.
      timeout, advice: as for `workers.loss_of`.
    """

    def __init__(self, cluster, strategy, timeout, advice=GOES_ON):
        self.cluster, self.strategy, self._timeout, self._advice = cluster, strategy, timeout, advice
        self._of_this_worker = len(strategy.extended.worker_devices)
        self.count = len(cluster.addresses)

    @property
    def is_chief(self):
        """Whether this is worker 0."""
        return self.cluster.is_chief

    def watched(self):
        """Return the context of what is done together: WorkerLost where another worker ends."""
        return watched(self.cluster, self._timeout, self._advice)

    def broadcast_command(self, what=0, number=0, signal=0):
        """Learn what to do next.

        Args:
          what, number: the chief's order; nothing on others.
          signal: number of a signal that this worker received, or 0.

        Returns:
          Order, equal on all workers.

        Raises:
          WorkerLost: another worker ended.
        """
        said = np.zeros(2 + self.count, np.int64)
        if self.cluster.is_chief:
            said[:2] = what, number
        said[2 + self.cluster.number] = signal
        heard = self.total(said)
        return Order(int(heard[0]), int(heard[1]), int(heard[2:].max()))

    def all_gather(self, content):
        """Return what every worker gives, a list in their order; it goes to JSON and back."""
        text = json.dumps(content).encode()
        sizes = np.zeros(self.count, np.int64)
        sizes[self.cluster.number] = len(text)
        sizes = self.total(sizes)
        rows = np.zeros([len(sizes), int(sizes.max())], np.uint8)
        rows[self.cluster.number, : len(text)] = np.frombuffer(text, np.uint8)
        rows = self.total(rows.astype(np.int64).ravel()).reshape(rows.shape).astype(np.uint8)
        return [json.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]

    def assert_equal(self, statement):
        """Raise InputError, on all workers the same, unless all state the same; as `objection` has it."""
        if found := objection(self.cluster, dict(enumerate(self.all_gather(statement)))):
            raise InputError(found)

    def broadcast_variables(self, variables):
        """Give the variables, Keras' or TensorFlow's, the values that the chief's have, bit for bit."""
        mine = [np.asarray(tf.convert_to_tensor(variable)) for variable in variables]
        values = from_words(self.total(to_words(mine, keep=self.cluster.is_chief)), mine)
        if not self.cluster.is_chief:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def shard(self, count):
        """Return which of `count` pieces of work are this worker's, a range; all have about equally many."""
        first, last = (count * number // self.count for number in (self.cluster.number, self.cluster.number + 1))
        return range(first, last)

    def batch_size(self, count, most):
        """Return how many of its share of `count` tasks a worker is to score at once, at most `most`.

        The batches are as equal as can be, for the last one is filled up with what is done in vain.
        """
        share = -(-count // self.count)
        batches = -(-share // most)
        return -(-share // batches)

    def spread(self, score, count, batch_size):
        """Score `count` tasks, every worker its share of them; returns what `score` does, of all, on every worker.

        The workers hear of each other after every batch, and so, where one is lost, in time.

        Args:
          score: function from indices [n], which follow each other, to a NamedTuple of NumPy arrays [..., n].
          count: int.
          batch_size: tasks at once on a worker, at most.
        """
        found: list = []
        at_once = self.count * self.batch_size(count, batch_size)
        with Progress(f"evaluating with {self.count} workers", count, "scores") as progress:
            for first in range(0, count, at_once):
                found.append(self._spread(score, np.arange(first, min(first + at_once, count))))
                progress.add(at_once)
        return type(found[0])(*(np.concatenate(parts, axis=-1) for parts in zip(*found, strict=True)))

    def _spread(self, score, tasks):
        mine = self.shard(len(tasks))
        scored = score(tasks[mine.start : mine.stop] if mine else tasks[:1])  # more workers than tasks: one in vain
        whole = [np.zeros([*part.shape[:-1], len(tasks)], part.dtype) for part in scored]
        for part, of_mine in zip(whole, scored, strict=True):
            part[..., mine.start : mine.stop] = of_mine[..., : len(mine)]
        return type(scored)(*self.all_reduce(whole))

    def all_reduce(self, arrays):
        """Return arrays of which every worker has filled in its own part, and left the others zero; bit for bit."""
        return from_words(self.total(to_words(arrays)), arrays)

    def total(self, words):
        """Return the sum over the workers of an int64 vector, which is exact; at once no more than 8 MB of it."""
        pieces = [words[first : first + _MOST_WORDS] for first in range(0, max(1, len(words)), _MOST_WORDS)]
        with self.watched():
            return np.concatenate([self._total(tf.constant(piece, tf.int64)).numpy() for piece in pieces])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def _total(self, words):
        def add():
            replica = tf.distribute.get_replica_context()
            is_first = replica.replica_id_in_sync_group % self._of_this_worker == 0  # a worker speaks once
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(is_first, words, tf.zeros_like(words)))

        return self.strategy.experimental_local_results(self.strategy.run(add))[0]


def to_words(arrays, keep=True):
    """Return the bytes of arrays as one int64 vector; zeros of its length unless `keep`."""
    content = b"".join(array.tobytes() for array in arrays)
    content += bytes(-len(content) % 8)
    words = np.frombuffer(content, np.int64)
    return words if keep else np.zeros_like(words)


def from_words(words, like):
    """Return the arrays, of the shapes and types of `like`, whose `to_words` the vector is."""
    content, found, place = words.tobytes(), [], 0
    for array in like:
        found.append(np.frombuffer(content[place : place + array.nbytes], array.dtype).reshape(array.shape))
        place += array.nbytes
    return found
