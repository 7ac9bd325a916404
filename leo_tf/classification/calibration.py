"""Calibration of a classification learner: how far its probabilities can be believed, and a temperature that helps."""

import numpy as np

from leo_tf.classification.evaluator import adapted_by, require_fits, sampler_of
from leo_tf.classification.metrics import query_logits
from leo_tf.evaluation.calibration import BINS, Tallies, calibration, fit_temperature, tally

_FLOATS_AT_ONCE = 2**24  # of gathered embeddings


def calibrate(model, table, tasks, bins=BINS, temperature=1.0):
    """Measure a model's calibration on the queries of tasks.

    Args:
      model: LEO.
      table: EmbeddingTable that the tasks are of.
      tasks: Tasks; a thousand are enough, as every query counts.
      bins: number of equal bins of [0, 1].
      temperature: what logits are divided by, as `temperature_of` found it.

    Returns:
      evaluation.calibration.Calibration.

    Raises:
      InputError: the table does not fit the model or the tasks.
    """
    parts = [tally(logits / temperature, labels, bins) for logits, labels in _logits(model, table, tasks)]
    return calibration(Tallies(*(np.concatenate(each) for each in zip(*parts, strict=True))))


def temperature_of(model, table, tasks):
    """Return the temperature that suits a model's logits on these tasks best, a float; arguments as in `calibrate`."""
    logits, labels = (np.concatenate(each) for each in zip(*_logits(model, table, tasks), strict=True))
    return fit_temperature(logits, labels).temperature


def _logits(model, table, tasks):
    """Yield (logits [tasks, queries, ways], labels [tasks, queries]), some tasks at a time."""
    require_fits(model, table)
    sampler = sampler_of(table, tasks, model)
    at_once = max(1, _FLOATS_AT_ONCE // (tasks.ways * (tasks.shots + tasks.queries) * table.dim))
    for first in range(0, len(tasks), at_once):
        episode = tasks.take(slice(first, first + at_once)).episode(sampler)
        classifier = adapted_by(model)(episode.support_x, episode.support_y)
        logits, labels = query_logits(classifier, episode)
        yield logits.numpy(), labels.numpy()
