"""Score classifiers on fixed tasks, batch by batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf.classification import metrics
from leo_tf.classification.learner import join_examples
from leo_tf.classification.tasks import Tasks
from leo_tf.data import EmbeddingTable
from leo_tf.data.episodes import Episode, EpisodeSampler
from leo_tf.errors import InputError
from leo_tf.evaluation.progress import Progress

_BLOCKS_FROM_QUERIES = 100  # queries per class from which reading whole classes beats gathering the queries


class Evaluator:
    """Scores of linear classifiers on tasks of a sampler's shape; the batch size changes speed and memory only.

    `make_classifier` is a function from support_x [tasks, ways, shots, dim] and support_y [tasks, ways, shots] to
    LinearClassifier. The label is -1 where a class of unequal tasks has fewer than `shots` examples.
    """

    def __init__(self, make_classifier: Callable, sampler: EpisodeSampler, batch_size: int) -> None:
        self._make_classifier, self._sampler, self._batch_size = make_classifier, sampler, batch_size

    def run_on(self, tasks: Tasks, name: str = "") -> metrics.Scores:
        """Return the Scores, NumPy arrays [num_tasks], of Tasks of the sampler's shape; progress shows `name`."""
        whole_classes, batches = self._reads_blocks and self._sampler.takes_all, []
        if self._reads_blocks and tasks.unequal:
            raise InputError(
                f"Got {tasks.queries} queries per class with unequal numbers of support examples; expected fewer than "
                f"{_BLOCKS_FROM_QUERIES}."
            )
        with Progress(f"evaluating {name}".rstrip(), len(tasks), "tasks") as progress:
            for first in range(0, len(tasks), self._batch_size):
                # The last batch repeats its last task, so that one graph serves all batches.
                batch = tasks.take(np.minimum(np.arange(self._batch_size) + first, len(tasks) - 1))
                rows = batch.support_rows if whole_classes else batch.rows(self._sampler)
                batches.append(self._score(tf.constant(batch.class_ids), tf.constant(rows)))
                progress.add(self._batch_size)
        return metrics.Scores(*(np.concatenate(parts)[: len(tasks)] for parts in zip(*batches, strict=True)))

    def run_with(self, workers: Any, tasks: Tasks, name: str = "") -> metrics.Scores:
        """Return the Scores of Tasks that workers share, all of which call this; see `run_on`."""
        return workers.map_tasks(lambda some: self.run_on(tasks.take(some), name), len(tasks), self._batch_size)

    @property
    def _reads_blocks(self) -> bool:
        return self._sampler.queries >= _BLOCKS_FROM_QUERIES

    @tf.function(reduce_retracing=True)
    def _score(self, class_ids: tf.Tensor, rows: tf.Tensor) -> metrics.Scores:
        sampler, tasks = self._sampler, self._batch_size
        support_rows = rows[:, :, : sampler.shots]
        support_y = tf.where(support_rows < 0, -1, sampler.labels(tasks, sampler.shots))
        support_x = tf.gather(sampler.embeddings, tf.maximum(support_rows, 0))
        if self._reads_blocks:
            return metrics.score_class_blocks(self._make_classifier(support_x, support_y), sampler, class_ids, rows)
        query_x = tf.gather(sampler.embeddings, rows[:, :, sampler.shots :])
        episode = Episode(support_x, support_y, query_x, sampler.labels(tasks, sampler.queries))
        return metrics.score_episode(self._make_classifier(support_x, support_y), episode)


def adapted_by(model: Any, unequal: bool = False) -> Callable:
    """Return the `make_classifier` of a classification.ClassificationLearner, for unequal tasks or for others."""

    def make_classifier(support_x: tf.Tensor, support_y: tf.Tensor) -> metrics.LinearClassifier:
        if not unequal:
            return metrics.LinearClassifier(model.adapt_in_evaluation(support_x, support_y))
        examples, labels = join_examples(support_x), join_examples(support_y)
        return metrics.LinearClassifier(model.adapt_imbalanced_features(examples, labels, support_x.shape[1]))

    return make_classifier


def sampler_of(table: EmbeddingTable, tasks: Tasks, model: Any = None, embeddings: Any = None) -> EpisodeSampler:
    """Return the EpisodeSampler of a table for Tasks of it; with a model, of the table of its features."""
    if tasks.data_digest != table.digest:
        raise InputError(
            f"The tasks are of data with sha256 {tasks.data_digest[:12]}...; {table.source} has "
            f"{table.digest[:12]}.... Evaluate on the data that they were drawn from.",
            "tasks",
        )
    table = table if model is None else model.feature_table(table)
    return EpisodeSampler(table, tasks.ways, tasks.shots, tasks.queries, embeddings=embeddings)


def require_fits(model: Any, table: EmbeddingTable) -> None:
    """Raise InputError unless the model is a classifier for embeddings of the table's dimension."""
    if model.episode_type is not Episode:
        raise InputError(
            f"Got a {model.algorithm} for regression, which classifies nothing; evaluate its run with evaluate.py."
        )
    if table.dim != model.embedding_dim:
        raise InputError(
            f"{table.source} has {table.dim}-dimensional embeddings; the model was made for {model.embedding_dim}. "
            "Evaluate on embeddings of the same feature extractor."
        )
