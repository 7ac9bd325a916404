"""Calibration of a classification learner, and the temperature that improves it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from leo_tf.classification.evaluator import adapted_by, require_fits, sampler_of
from leo_tf.classification.metrics import query_logits
from leo_tf.classification.tasks import Tasks
from leo_tf.data import EmbeddingTable
from leo_tf.evaluation.calibration import Calibration, Tallies, calibration, fit_temperature, tally

_FLOATS_AT_ONCE = 2**24  # of gathered embeddings


def calibrate(model: Any, table: EmbeddingTable, tasks: Tasks, temperature: float = 1.0) -> Calibration:
    """Measure a model's calibration on the queries of tasks; its logits are divided by the temperature."""
    parts = [tally(logits / temperature, labels) for logits, labels in _logits(model, table, tasks)]
    return calibration(Tallies(*(np.concatenate(each) for each in zip(*parts, strict=True))))


def temperature_of(model: Any, table: EmbeddingTable, tasks: Tasks) -> float:
    """Return the temperature of least negative log-likelihood on these tasks; arguments as in `calibrate`."""
    logits, labels = (np.concatenate(each) for each in zip(*_logits(model, table, tasks), strict=True))
    return fit_temperature(logits, labels)[0]


def _logits(model: Any, table: EmbeddingTable, tasks: Tasks) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (logits [tasks, queries, ways], labels [tasks, queries]) of a few tasks at a time."""
    require_fits(model, table)
    sampler = sampler_of(table, tasks, model)
    at_once = max(1, _FLOATS_AT_ONCE // (tasks.ways * (tasks.shots + tasks.queries) * table.dim))
    for first in range(0, len(tasks), at_once):
        episode = tasks.take(slice(first, first + at_once)).episode(sampler)
        classifier = adapted_by(model)(episode.support_x, episode.support_y)
        logits, labels = query_logits(classifier, episode)
        yield logits.numpy(), labels.numpy()
