"""Few-shot tasks, sampled in-graph from an embedding table."""

import logging
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.data.table import EmbeddingTable
from leo_tf.errors import InputError

_GROUP_SEQUENCE = 3
_TENSOR_ALIGNMENT = 64  # bytes; TensorFlow's vector instructions rely on it

_logger = logging.getLogger("leo_tf")


class Episode(NamedTuple):
    """Batch of tasks. Class n of a task has label n and is in row n of the ways axis.

    Example:
      >>> table = leo_tf.EmbeddingTable.load("", "glyphs", "val")
      >>> episode = leo_tf.EpisodeSampler(table, ways=2, shots=1, queries=3).sample(seed=0, first_task=0, num_tasks=1)
      >>> episode.query_y.numpy().tolist()
      [[[0, 0, 0], [1, 1, 1]]]
    """

    support_x: tf.Tensor  # [tasks, ways, shots, dim]
    support_y: tf.Tensor  # [tasks, ways, shots] int32
    query_x: tf.Tensor  # [tasks, ways, queries, dim]
    query_y: tf.Tensor  # [tasks, ways, queries] int32

    def __repr__(self) -> str:
        return f"Episode({', '.join(f'{name} {tuple(part.shape)}' for name, part in self._asdict().items())})"


class EpisodeSampler:
    """Sampler of N-way K-shot tasks that is a pure function of (seed, task index).

    Classes are distinct within a task. Support and query examples of a class are disjoint and drawn without
    replacement.

    Args:
      table: EmbeddingTable.
      ways: classes per task.
      shots: support examples per class.
      queries: query examples per class; None takes all remaining examples of the smallest class.
      within: "all", or "group": draw one group of classes for every task, uniformly, and all classes of the task from
        it; see `EmbeddingTable.class_groups`. Groups of fewer than `ways` classes are not used.
      embeddings: those of another sampler of this table, to share its memory.

    Raises:
      InputError: the table, or every group, has fewer classes than `ways`, or a class has too few examples.

    Example:
      >>> sampler = leo_tf.EpisodeSampler(leo_tf.EmbeddingTable.load("", "glyphs", "val"), ways=5, shots=2, queries=15)
      >>> sampler.sample(seed=0, first_task=0, num_tasks=12).support_x.shape
      TensorShape([12, 5, 2, 128])
    """

    def __init__(
        self,
        table: EmbeddingTable,
        ways: int,
        shots: int,
        queries: int | None = None,
        within: str = "all",
        embeddings: Any = None,
    ) -> None:
        smallest = int(np.argmin(table.class_sizes))
        size = int(table.class_sizes[smallest])
        if ways > table.num_classes:
            raise InputError(
                f"{ways}-way tasks need {ways} classes; {table.source} has {table.num_classes}. "
                "Lower the number of ways (num_classes) or add classes.",
                "num_classes",
            )
        if min(ways, shots) < 1 or (queries is not None and queries < 1):
            raise InputError(f"Got ways={ways}, shots={shots}, queries={queries}; expected at least 1 of each.")
        if size < shots + (queries or 1):
            raise InputError(
                f"Class {table.class_names[smallest]!r} of {table.source} has {size} examples; {shots} shots and "
                f"{queries or 'at least 1'} queries need {shots + (queries or 1)}. Lower num_tr_examples_per_class "
                "or the number of queries, or remove the class.",
                "num_tr_examples_per_class",
            )
        self.ways, self.shots = ways, shots
        self.queries = size - shots if queries is None else queries
        self.takes_all = bool(np.all(table.class_sizes == shots + self.queries))
        if queries is None and not self.takes_all:
            _logger.info(
                "%s: classes have %d to %d examples; tasks have %d queries per class, limited by the smallest, %s.",
                *(table.source, size, table.class_sizes.max(), self.queries, table.class_names[smallest]),
            )
        self.num_classes = table.num_classes
        self.largest_class = int(table.class_sizes.max())
        self.class_sizes = tf.constant(table.class_sizes, tf.int32)
        self.class_offsets = tf.constant(table.class_offsets, tf.int32)
        self.embeddings = _place(table.embeddings) if embeddings is None else embeddings
        self._group_of_class = _groups(table, ways) if within == "group" else None

    def rows(
        self, seed: int | tf.Tensor, first_task: int | tf.Tensor, num_tasks: int, examples: int | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Choose the classes [tasks, ways] and the rows [tasks, ways, examples], int32, of consecutive tasks.

        The first `shots` rows of each class are its support. The seed is an int, or int64 [2] from
        `randomness.stream_seed`. By default there are shots + queries examples; fewer are the first of a larger number.
        """
        seed = randomness.stream_seed(seed, randomness.EPISODES)
        # The order of random keys is a random permutation.
        keys = randomness.integers(seed, first_task, num_tasks, self.num_classes + self.ways * self.largest_class)
        class_keys, example_keys = tf.split(keys, [self.num_classes, -1], axis=1)
        if self._group_of_class is not None:
            here = self._group_of_class == self._group(seed, first_task, num_tasks)
            class_keys = tf.where(here, tf.maximum(class_keys, class_keys.dtype.min + 1), class_keys.dtype.min)
        class_ids = tf.math.top_k(class_keys, self.ways).indices
        sizes = tf.gather(self.class_sizes, class_ids)
        example_keys = tf.reshape(example_keys, [num_tasks, self.ways, self.largest_class])
        exists = tf.range(self.largest_class) < sizes[..., tf.newaxis]
        # Classes smaller than the largest are padded: keys of existing examples are strictly above those of padding.
        example_keys = tf.where(exists, tf.maximum(example_keys, example_keys.dtype.min + 1), example_keys.dtype.min)
        chosen = tf.math.top_k(example_keys, examples or self.shots + self.queries).indices
        return class_ids, chosen + tf.gather(self.class_offsets, class_ids)[..., tf.newaxis]

    def _group(self, seed: tf.Tensor, first_task: int | tf.Tensor, num_tasks: int) -> tf.Tensor:
        """Return the group of each task, int32 [tasks, 1]; its own stream leaves all other draws unchanged."""
        draws = randomness.integers(seed, first_task, num_tasks, 1, sequence=_GROUP_SEQUENCE)
        groups = tf.reduce_max(self._group_of_class) + 1
        return tf.cast(randomness.uniform(draws) * tf.cast(groups, tf.float32), tf.int32)

    def sample(self, seed: int | tf.Tensor, first_task: int | tf.Tensor, num_tasks: int) -> Episode:
        """Sample consecutive tasks; arguments as in `rows`."""
        _, rows = self.rows(seed, first_task, num_tasks)
        support, query = (tf.gather(self.embeddings, part) for part in tf.split(rows, [self.shots, -1], axis=2))
        return Episode(support, self.labels(num_tasks, self.shots), query, self.labels(num_tasks, self.queries))

    def labels(self, num_tasks: int, examples: int) -> tf.Tensor:
        """Return the labels of tasks with this many examples per class, int32 [tasks, ways, examples]."""
        return tf.broadcast_to(tf.range(self.ways)[:, tf.newaxis], [num_tasks, self.ways, examples])


def most_ways(table: EmbeddingTable, ways: int, within: str = "all") -> int:
    """Return the largest number of ways with which an EpisodeSampler excludes no class that it uses with `ways`.

    That is the size of the table, or of its smallest group with at least `ways` classes; `ways` if there are fewer.
    """
    groups = Counter(group for group in table.class_groups if group)
    sizes = [table.num_classes] if within == "all" else groups.values()
    return min((size for size in sizes if size >= ways), default=ways)


def _groups(table: EmbeddingTable, ways: int) -> tf.Tensor:
    """Return the index of each class's group, int32 [classes]; -1 if the group has fewer classes than `ways`."""
    sizes = Counter(table.class_groups)
    large = sorted(group for group, size in sizes.items() if size >= ways and group)
    if not large:
        group, size = max(sizes.items(), key=lambda item: (bool(item[0]), item[1]))
        what = f"the largest group, {group!r}, has {size} classes" if group else "its classes have no groups"
        raise InputError(
            f"{ways}-way tasks within a group need {ways} classes in one group; in {table.source}, {what}. Expected "
            "class names such as group/class. Lower the number of ways (num_classes), or give tasks_within=all.",
            *("num_classes", "tasks_within"),
        )
    numbers = {group: number for number, group in enumerate(large)}
    return tf.constant([numbers.get(group, -1) for group in table.class_groups], tf.int32)


def _place(embeddings: np.ndarray) -> Any:
    """Return the table as a tensor or variable that functions can capture, on CPU one that shares its memory."""
    # A NumPy array captured by a function would be copied into its graph, which cannot exceed 2 GB.
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync > 1 and len(strategy.extended.worker_devices) > 1:
        return tf.Variable(embeddings, trainable=False, name="embedding_table")
    if tf.config.list_logical_devices("GPU") or embeddings.ctypes.data % _TENSOR_ALIGNMENT:
        return tf.constant(embeddings)
    view = embeddings.view()
    try:
        view.flags.writeable = True  # DLPack does not share read-only memory; tensors are never written to
    except ValueError:
        return tf.constant(embeddings)
    return tf.experimental.dlpack.from_dlpack(view.__dlpack__())
