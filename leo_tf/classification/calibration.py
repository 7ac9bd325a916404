"""Calibration of a classification learner, and the temperatures that improve it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from leo_tf.classification.evaluator import adapted_by, require_fits, sampler_of
from leo_tf.classification.metrics import query_logits
from leo_tf.classification.tasks import Tasks
from leo_tf.data import EmbeddingTable
from leo_tf.evaluation.calibration import Calibration, Tallies, calibration, tally

_FLOATS_AT_ONCE = 2**24  # of gathered embeddings

Answers = tuple[np.ndarray, np.ndarray]  # logits [tasks, queries, ways] and labels [tasks, queries]


def calibrate(model: Any, table: EmbeddingTable, tasks: Tasks, temperature: float = 1.0) -> Calibration:
    """Measure a model's calibration on the queries of tasks; its logits are divided by the temperature."""
    return calibration_of([answers(model, table, tasks)], [temperature])


def answers(model: Any, table: EmbeddingTable, tasks: Tasks) -> Answers:
    """Return the logits of the queries of tasks, and their labels."""
    require_fits(model, table)
    sampler = sampler_of(table, tasks, model)
    at_once = max(1, _FLOATS_AT_ONCE // (tasks.ways * (tasks.shots + tasks.queries) * table.dim))
    parts = []
    for first in range(0, len(tasks), at_once):
        episode = tasks.take(slice(first, first + at_once)).episode(sampler)
        classifier = adapted_by(model)(episode.support_x, episode.support_y)
        parts.append([each.numpy() for each in query_logits(classifier, episode)])
    logits, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    return logits, labels


def calibration_of(several: Sequence[Answers], temperatures: Sequence[float]) -> Calibration:
    """Return the Calibration of the answers to tasks of several shapes, whose logits are divided by temperatures."""
    parts = [tally(logits / each, labels) for (logits, labels), each in zip(several, temperatures, strict=True)]
    return calibration(Tallies(*(np.concatenate(each) for each in zip(*parts, strict=True))))
