"""Where a model beyond the paper starts: shrinkage of the whitening and scale of the prototypes, before any training.

Both are chosen on validation tasks by the loss of what LEO then corrects: class means of transformed embeddings, as
weights of a classifier. The best shrinkages differ by a factor of a thousand between data sets; finding one takes
seconds.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf import objective, randomness
from leo_tf.classification import prototypes
from leo_tf.classification.tasks import draw_from
from leo_tf.data import EpisodeSampler, transform
from leo_tf.evaluation.calibration import fit_temperature

SHRINKAGES = tuple(float(f"{10**power:.1g}") for power in np.arange(-2, 2.1, 0.5))  # 0.01, 0.03, 0.1, ... 100
_TASKS, _MOST_QUERIES, _SEED = 200, 15, 0
_UNIT = 10.0  # scale of the logits whose temperature is fitted, so that scales from 0.1 to 1000 can be found
_FLOATS_AT_ONCE = 2**24  # of gathered embeddings


class Start(NamedTuple):
    """What was chosen, and from what."""

    shrinkage: float
    scale: float
    losses: dict[float, float]  # nats by shrinkage, each at its best scale


def choose_start(training, validation, ways, shots, shrinkages=SHRINKAGES, within="all"):
    """Choose the shrinkage, and with it the scale, of least loss on tasks of the validation classes.

    Args:
      training, validation: EmbeddingTables of the meta-training and of the validation classes.
      ways, shots: of the tasks.
      shrinkages: numbers to choose from.
      within: as EpisodeSampler's.

    Returns:
      Start.

    Raises:
      InputError: the validation classes have no such tasks, or whitening is not possible.
    """
    queries = min(_MOST_QUERIES, max(0, int(validation.class_sizes.min()) - shots))
    sampler = EpisodeSampler(validation, ways, shots, queries or None, within)  # which names a class that is too small
    tasks = draw_from(sampler, validation.digest, _TASKS, _SEED, randomness.VALIDATION)
    labels = np.broadcast_to(np.repeat(np.arange(ways), queries), (len(tasks), ways * queries))
    used, rows = np.unique(tasks.rows(sampler), return_inverse=True)
    rows = rows.reshape(len(tasks), ways, shots + queries)
    scatter = transform.principal_scatter(training)
    # In the principal directions whitening is a division, and angles are what they are in any other basis.
    centred = transform.unit_length(np.asarray(validation.embeddings[used], np.float64)) - scatter.mean
    principal = (centred @ scatter.directions).astype(np.float32)
    found = {}
    for shrinkage in shrinkages:
        whitened = transform.unit_length(principal / scatter.deviations(shrinkage).astype(np.float32))
        logits = prototype_logits(whitened, rows, shots)
        scale = _UNIT / fit_temperature(_UNIT * logits, labels)
        found[shrinkage] = _loss(scale * logits, labels), scale
    best = min(found, key=lambda shrinkage: found[shrinkage][0])
    return Start(best, found[best][1], {shrinkage: loss for shrinkage, (loss, _) in found.items()})


def prototype_logits(embeddings, rows, shots):
    """Return the logits of queries under the support's class means, less their mean over the classes.

    Args:
      embeddings: [rows of a table, dim].
      rows: of every task, [tasks, ways, shots + queries].
      shots: so many of them are support.

    Returns:
      [tasks, ways * queries, ways].
    """
    tasks, ways, examples = rows.shape
    at_once = max(1, _FLOATS_AT_ONCE // (ways * examples * embeddings.shape[1]))
    parts = []
    for first in range(0, tasks, at_once):
        gathered = embeddings[rows[first : first + at_once]]
        means = prototypes.centred(gathered[:, :, :shots].mean(axis=2)).numpy()
        queries = gathered[:, :, shots:].reshape(len(gathered), ways * (examples - shots), -1)
        parts.append(queries @ means.transpose(0, 2, 1))
    return np.concatenate(parts)


def _loss(logits, labels):
    return float(objective.cross_entropy(tf.constant(logits, tf.float64), labels).numpy().mean())
