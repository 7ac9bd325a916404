"""The evaluation protocol: fixed, seeded tasks, per-task results, their mean and its interval."""

import dataclasses
import time

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.data.episodes import EpisodeSampler
from leo_tf.errors import InputError
from leo_tf.evaluation import scoring
from leo_tf.evaluation.statistics import Interval, confidence_interval

_BLOCKS_FROM_QUERIES = 100  # queries a class from which reading whole classes beats gathering the queries


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """What a model scored on a set of tasks, beside nearest-class-mean on the very same ones."""

    accuracy: Interval
    nearest_class_mean: Interval
    loss: Interval
    ways: int
    shots: int
    queries: int
    num_tasks: int
    seed: int
    data: str  # the table's digest
    seconds: float
    task_accuracy: np.ndarray = dataclasses.field(repr=False)  # [tasks]
    task_nearest_class_mean: np.ndarray = dataclasses.field(repr=False)  # [tasks]
    algorithm: str = "LEO"

    def summary(self):
        """Return a plain dict of everything but the per-task results, for JSON."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if not f.name.startswith("task_")}
        return {k: v._asdict() if isinstance(v, Interval) else v for k, v in fields.items()}

    def __str__(self):
        return (
            f"{self.algorithm} {self.accuracy.percent()}, nearest class mean {self.nearest_class_mean.percent()} "
            f"({self.ways}-way {self.shots}-shot, {self.queries} queries a class, {self.num_tasks} tasks, "
            "95 % confidence intervals)"
        )


class Evaluator:
    """Score a way of making classifiers on a sampler's tasks.

    Args:
      make_classifier: function (support_x [tasks, ways, shots, dim], support_y [tasks, ways, shots]) -> Classifier.
      sampler: EpisodeSampler.
      batch_size: tasks at once; changes speed and memory only.
    """

    def __init__(self, make_classifier, sampler, batch_size):
        self._make_classifier, self._sampler, self._batch_size = make_classifier, sampler, batch_size

    def run(self, seed, stream, num_tasks):
        """Score tasks 0..num_tasks-1 of a seeded stream.

        Returns:
          Scores of NumPy arrays [num_tasks].
        """
        seed = randomness.stream_seed(seed, stream)
        batches = [self._score(seed, tf.constant(first, tf.int64)) for first in range(0, num_tasks, self._batch_size)]
        return scoring.Scores(
            *(np.concatenate([part.numpy() for part in parts])[:num_tasks] for parts in zip(*batches, strict=True))
        )

    @tf.function(reduce_retracing=True)
    def _score(self, seed, first_task):
        sampler, tasks = self._sampler, self._batch_size
        support_y = sampler.labels(tasks, sampler.shots)
        if sampler.queries < _BLOCKS_FROM_QUERIES:
            episode = sampler.sample(seed, first_task, tasks)
            return scoring.score_episode(self._make_classifier(episode.support_x, support_y), episode)
        needed = sampler.shots if sampler.takes_all else sampler.shots + sampler.queries
        class_ids, rows = sampler.rows(seed, first_task, tasks, examples=needed)
        support_x = tf.gather(sampler.embeddings, rows[:, :, : sampler.shots])
        return scoring.score_class_blocks(self._make_classifier(support_x, support_y), sampler, class_ids, rows)


def leo_classifier(model):
    """Return `make_classifier` of a LEO model, or of another meta_learner.MetaLearner."""

    return lambda support_x, support_y: scoring.Classifier(model.adapt(support_x, support_y))


def evaluate(model, table, ways=5, shots=1, queries=None, num_tasks=10_000, batch_size=200, seed=0):
    """Evaluate a model on seeded tasks of a table.

    Args:
      model: LEO, or another meta_learner.MetaLearner.
      table: EmbeddingTable of the model's embedding_dim.
      ways, shots: shape of a task; for LEO any, whatever it was trained with.
      queries: query examples of a class; None takes all that remain (of the smallest class).
      num_tasks: number of tasks, at least 2. The same seed gives the same tasks to every model.
      batch_size: tasks at once; changes speed and memory only.
      seed: int.

    Returns:
      EvaluationResult.

    Raises:
      InputError: the table does not fit the model or the tasks.
    """
    if table.dim != model.embedding_dim:
        raise InputError(
            f"{table.source} has {table.dim}-dimensional embeddings; the model was made for {model.embedding_dim}. "
            "Evaluate on embeddings of the same feature extractor."
        )
    if num_tasks < 2:
        raise InputError(f"Got {num_tasks} tasks; expected at least 2.")
    model.require_ways(ways)
    sampler = EpisodeSampler(table, ways, shots, queries)
    batch_size = min(batch_size, num_tasks)
    start = time.perf_counter()
    scores = Evaluator(leo_classifier(model), sampler, batch_size).run(seed, randomness.TEST, num_tasks)
    seconds = time.perf_counter() - start
    yardstick = Evaluator(lambda x, y: scoring.nearest_class_mean(x), sampler, batch_size)
    nearest = yardstick.run(seed, randomness.TEST, num_tasks).accuracy
    return EvaluationResult(
        accuracy=confidence_interval(scores.accuracy),
        nearest_class_mean=confidence_interval(nearest),
        loss=confidence_interval(scores.loss),
        ways=ways,
        shots=shots,
        queries=sampler.queries,
        num_tasks=num_tasks,
        seed=seed,
        data=table.digest,
        seconds=seconds,
        task_accuracy=scores.accuracy,
        task_nearest_class_mean=nearest,
        algorithm=model.algorithm,
    )
