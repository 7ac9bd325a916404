"""Validation of a learner on fixed tasks of one shape or several."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf.classification.baselines import NEAREST_MEANS, RAW, Scoring
from leo_tf.classification.evaluator import Evaluator, adapted_by, sampler_of
from leo_tf.classification.tasks import Tasks
from leo_tf.data import EmbeddingTable
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.problem import Validation


class Validator:
    """Scores of a learner, as it is at the time, on Tasks of each shape, and of a baseline; workers share the tasks."""

    def __init__(
        self, learner: Any, table: EmbeddingTable, tasks: Sequence[Tasks], batch_size: int, workers: Any
    ) -> None:
        self._learner, self._table, self._tasks, self._workers = learner, table, tasks, workers
        features = learner.feature_table(table)
        self._features = None
        if learner.learns_features:  # they change between validations: one variable that all graphs read
            self._features = tf.Variable(features.embeddings, trainable=False)
        samplers = [sampler_of(features, each, embeddings=self._features) for each in tasks]
        sizes = [workers.batch_size(len(each), batch_size) for each in tasks]
        self._evaluators = [Evaluator(adapted_by(learner), *each) for each in zip(samplers, sizes, strict=True)]
        nearest = NEAREST_MEANS["nearest_class_mean"]
        scorings = [Scoring(table, *each) for each in zip(tasks, sizes, strict=True)]
        accuracies = [scoring.measure(nearest, RAW, workers).accuracy for scoring in scorings]
        self.baselines = {nearest.title: float(np.concatenate(accuracies).mean())}

    def __call__(self) -> Validation:
        if self._features is not None:
            self._features.assign(self._learner.feature_table(self._table).embeddings)
        pairs = zip(self._evaluators, self._tasks, strict=True)
        scores = [evaluator.run_with(self._workers, tasks) for evaluator, tasks in pairs]
        accuracy, loss = (np.concatenate(parts) for parts in zip(*scores, strict=True))
        # A classifier of NaN classifies nothing correctly: it has no accuracy, rather than a bad one.
        accuracy = np.where(np.isnan(loss), np.nan, accuracy)
        others = {"loss": float(loss.mean())}
        return Validation(confidence_interval(accuracy), others, baselines=self.baselines, scores=accuracy)
