"""A fixed set of test tasks, drawn from a seed or read from a file, and identified by a digest."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.data import EmbeddingTable
from leo_tf.data.episodes import Episode, EpisodeSampler
from leo_tf.errors import InputError
from leo_tf.files import npz

_DRAWN_AT_ONCE = 200
_FLOATS_AT_ONCE = 2**24  # of gathered embeddings
_COUNTS = 4  # the random sequence of the numbers of support examples
_WHAT = "a task file written by evaluate.py --write_tasks"


@dataclasses.dataclass(frozen=True, eq=False)
class Tasks:
    """Classes and rows of every task; rows count from the start of the table."""

    class_ids: np.ndarray  # [tasks, ways] int32
    support_rows: np.ndarray  # [tasks, ways, shots] int32; -1 where a class of unequal tasks has fewer examples
    query_rows: np.ndarray | None  # [tasks, ways, queries] int32; None if every other row of a class is a query
    queries: int  # per class
    data_digest: str  # of the table
    seed: int = -1  # -1 for tasks that were not drawn
    stream: int = -1

    def __repr__(self) -> str:
        shape = f"{self.ways}-way {self.shots}-shot, {self.queries} queries per class"
        return f"<Tasks {len(self)} of {shape}, data {self.data_digest[:12]}>"

    def __len__(self) -> int:
        return len(self.class_ids)

    @property
    def ways(self) -> int:
        return self.support_rows.shape[1]

    @property
    def shots(self) -> int:
        return self.support_rows.shape[2]

    @functools.cached_property
    def unequal(self) -> bool:
        """Whether classes have different numbers of support examples, at most `shots`."""
        return bool((self.support_rows < 0).any())

    @property
    def mean_shots(self) -> float:
        """Mean number of support examples per class."""
        return float((self.support_rows >= 0).sum(axis=2).mean())

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the data and of every task's rows; equal for equal tasks, however they were made."""
        digest = hashlib.sha256(f"{self.data_digest} {self.support_rows.shape} {self.queries}".encode())
        for rows in (self.class_ids, self.support_rows, self.query_rows):
            if rows is not None:
                digest.update(np.ascontiguousarray(rows, "<i4").data)
        return digest.hexdigest()

    @property
    def identity(self) -> dict[str, Any]:
        """Facts that distinguish these tasks from others."""
        names = ("data_digest", "ways", "shots", "queries", "seed", "stream")
        return {**{n: getattr(self, n) for n in names}, "num_tasks": len(self), "tasks_digest": self.digest}

    def take(self, indices: Any) -> "Tasks":
        """Return the tasks at `indices`, a slice or an array."""
        queries = None if self.query_rows is None else self.query_rows[indices]
        return dataclasses.replace(
            self, class_ids=self.class_ids[indices], support_rows=self.support_rows[indices], query_rows=queries
        )

    def rows(self, sampler: EpisodeSampler) -> np.ndarray:
        """Return support and query rows together, [tasks, ways, shots + queries] int32."""
        queries = self.query_rows
        if queries is None:
            offsets = sampler.class_offsets.numpy()[self.class_ids][..., np.newaxis]
            others = np.ones((*self.class_ids.shape, self.shots + self.queries), bool)
            np.put_along_axis(others, self.support_rows - offsets, False, axis=2)
            queries = np.nonzero(others)[2].astype(np.int32).reshape(*self.class_ids.shape, -1) + offsets
        return np.concatenate([self.support_rows, queries], axis=2)

    def episode(self, sampler: EpisodeSampler) -> Episode:
        """Gather the embeddings of all tasks into one Episode, which is large: use it for a few tasks."""
        parts = np.split(self.rows(sampler), [self.shots], axis=2)
        support, query = (tf.gather(sampler.embeddings, part) for part in parts)
        return Episode(support, sampler.labels(len(self), self.shots), query, sampler.labels(len(self), self.queries))

    def episodes(self, sampler: EpisodeSampler) -> Iterator[tuple[Episode, "Tasks"]]:
        """Yield (`episode`, its Tasks), as many tasks at a time as memory allows."""
        at_once = max(1, _FLOATS_AT_ONCE // (self.ways * (self.shots + self.queries) * sampler.embeddings.shape[1]))
        for first in range(0, len(self), at_once):
            some = self.take(slice(first, first + at_once))
            yield some.episode(sampler), some

    def save(self, path: str | Path) -> None:
        """Write the tasks to an npz file that `load` reads."""
        queries = np.zeros((*self.class_ids.shape, 0), np.int32) if self.query_rows is None else self.query_rows
        npz.write(path, **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | {"query_rows": queries})

    @classmethod
    def load(cls, path: str | Path, table: EmbeddingTable) -> "Tasks":
        """Read tasks written by `save`; raise InputError if they are corrupt or not tasks of `table`.

        The npz file has class_ids [tasks, ways]; support_rows [tasks, ways, shots]; query_rows [tasks, ways, queries],
        where 0 queries are all other rows of the class; the numbers queries, seed and stream; the text data_digest.
        """
        whole = dict.fromkeys(("queries", "seed", "stream"), ("iu", 0))
        rows = {"class_ids": ("iu", 2), "support_rows": ("iu", 3), "query_rows": ("iu", 3)}
        fields = npz.read(path, _WHAT, **whole, **rows, data_digest=("U", 0))
        fields |= {name: fields[name].astype(np.int32) for name in rows}
        if fields["data_digest"] != table.digest:
            raise InputError(
                f"The tasks in {path} are of data with sha256 {fields['data_digest'][:12]}...; {table.source} has "
                f"{table.digest[:12]}.... Give the data, split and crop that they were drawn from.",
                *("tasks", "dataset_name", "split", "embedding_crop"),
            )
        if fault := _fault(table, **{name: fields[name] for name in ("queries", *rows)}):
            raise InputError(f"{path} holds impossible tasks: {fault}. Expected {_WHAT}; write it again.", "tasks")
        if np.all(table.class_sizes == fields["support_rows"].shape[2] + fields["queries"]):
            fields["query_rows"] = None
        return cls(**fields)


def draw_tasks(
    table: EmbeddingTable,
    ways: int = 5,
    shots: int = 1,
    queries: int | None = None,
    num_tasks: int = 10_000,
    seed: int = 0,
    stream: int = randomness.TEST,
    within: str = "all",
) -> Tasks:
    """Draw tasks from a seed.

    Args:
      table, ways, shots, queries, within: see EpisodeSampler.
      num_tasks: number of tasks, at least 2. A smaller number gives the first of a larger one.
      seed, stream: int, and one of `randomness`' streams.

    Raises:
      InputError: the table has no such tasks, or fewer than 2 were requested.
    """
    return draw_from(EpisodeSampler(table, ways, shots, queries, within), table.digest, num_tasks, seed, stream)


def draw_from(
    sampler: EpisodeSampler, data_digest: str, num_tasks: int, seed: int, stream: int = randomness.TEST
) -> Tasks:
    """Draw tasks as `draw_tasks` does, with an existing sampler."""
    if num_tasks < 2:
        raise InputError(f"Got {num_tasks} tasks; an interval needs at least 2.", "num_tasks")
    examples = sampler.shots if sampler.takes_all else sampler.shots + sampler.queries
    at_once = min(num_tasks, _DRAWN_AT_ONCE)
    pair = randomness.stream_seed(seed, stream)
    draw = tf.function(lambda first: sampler.rows(pair, first, at_once, examples))
    batches = [draw(tf.constant(first, tf.int64)) for first in range(0, num_tasks, at_once)]
    class_ids, rows = (
        np.concatenate([part.numpy() for part in parts])[:num_tasks] for parts in zip(*batches, strict=True)
    )
    queries = None if sampler.takes_all else rows[:, :, sampler.shots :]
    return Tasks(class_ids, rows[:, :, : sampler.shots], queries, sampler.queries, data_digest, seed, stream)


def draw_unequal(
    sampler: EpisodeSampler, data_digest: str, num_tasks: int, seed: int, stream: int = randomness.TEST
) -> Tasks:
    """Draw tasks as `draw_from` does, and for each of their classes a number of support examples, 1 to `shots`."""
    tasks = draw_from(sampler, data_digest, num_tasks, seed, stream)
    draws = randomness.integers(randomness.stream_seed(seed, stream), 0, num_tasks, tasks.ways, sequence=_COUNTS)
    counts = 1 + np.floor(randomness.uniform(draws).numpy() * tasks.shots)
    rows, queries = np.split(tasks.rows(sampler), [tasks.shots], axis=2)
    rows = np.where(np.arange(tasks.shots) < counts[..., np.newaxis], rows, np.int32(-1))
    return dataclasses.replace(tasks, support_rows=rows, query_rows=queries)


def _fault(
    table: EmbeddingTable, class_ids: np.ndarray, support_rows: np.ndarray, query_rows: np.ndarray, queries: int
) -> str:
    """Describe the first fault of tasks read from a file; empty if there is none."""
    tasks, ways = class_ids.shape
    if tasks < 2 or ways < 2 or support_rows.shape[2] < 1 or queries < 1:
        return f"{tasks} tasks of {ways} classes, {support_rows.shape[2]} shots, {queries} queries"
    if not support_rows.shape[:2] == query_rows.shape[:2] == class_ids.shape:
        return f"shapes: class_ids {class_ids.shape}, support_rows {support_rows.shape}, query_rows {query_rows.shape}"
    if query_rows.shape[2] not in (0, queries):
        return f"{query_rows.shape[2]} query rows for {queries} queries per class"
    if query_rows.shape[2] == 0 and np.any(table.class_sizes != support_rows.shape[2] + queries):
        return f"no query rows, but not every class of {table.source} has {support_rows.shape[2]} + {queries} rows"
    if class_ids.min() < 0 or class_ids.max() >= table.num_classes:
        return f"class ids from {class_ids.min()} to {class_ids.max()}; {table.source} has {table.num_classes} classes"
    if _repeats(class_ids):
        return "a class occurs twice in a task"
    rows = np.concatenate([support_rows, query_rows], axis=2)
    places = rows - table.class_offsets[class_ids][..., np.newaxis]
    if places.min() < 0 or np.any(places >= table.class_sizes[class_ids][..., np.newaxis]):
        return "a row lies outside its class"
    if _repeats(rows):
        return "a row occurs twice in a class"
    return ""


def _repeats(values: np.ndarray) -> bool:
    ordered = np.sort(values, axis=-1)
    return bool(np.any(ordered[..., 1:] == ordered[..., :-1]))
