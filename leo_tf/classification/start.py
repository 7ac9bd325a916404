"""Where a model beyond the paper starts: how embeddings are transformed and prototypes scaled, before any training.

Chosen on validation tasks by the loss of what LEO then corrects: class means of transformed embeddings, as weights of a
classifier. The best shrinkages differ by a factor of a thousand between data sets; finding one takes seconds.
"""

from typing import NamedTuple

import numpy as np

from leo_tf import randomness
from leo_tf.classification import fine_tuning_start, prototypes
from leo_tf.classification.tasks import draw_from
from leo_tf.config import LEOConfig
from leo_tf.data import EpisodeSampler, plda, transform
from leo_tf.evaluation.calibration import fit_temperature

SHRINKAGES = tuple(float(f"{10**power:.1g}") for power in np.arange(-3, 2.1, 0.5))  # 0.001, 0.003, 0.01, ... 100
BETWEENS = tuple(float(f"{10**power:.1g}") for power in np.arange(-2.5, 1.1, 0.5))  # 0.003, 0.01, 0.03, ... 10
_TASKS, _MOST_QUERIES, _SEED = 200, 15, 0
_UNIT = 10.0  # scale of the logits whose temperature is fitted, so that scales from 0.1 to 1000 can be found
_FLOATS_AT_ONCE = 2**24  # of gathered embeddings

PLDA = LEOConfig(
    embedding_transform="plda",
    transform_shrinkage=0,
    transform_between=0,
    prototype_residual=True,
    prototype_scale_init=0,
    prototype_bias=1.0,
)  # nearest class mean under PLDA, all of it chosen


class Start(NamedTuple):
    """What was chosen, and from what."""

    shrinkage: float
    between: float
    scale: float
    temperature: float  # of the support's logits; 1 where it was not to be chosen
    rate: float  # of fine-tuning, down the loss summed over the support; 0 where it was not to be chosen
    losses: dict[tuple[float, float], float]  # nats by shrinkage and between, each at its best scale


def choose_start(model, training, validation, ways, shots, within="all"):
    """Choose what a model's settings leave to validation tasks, by the least loss on 200 of them.

    Args:
      model: LEOConfig.
      training, validation: EmbeddingTables of the meta-training and of the validation classes.
      ways, shots: of the tasks.
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
    found: dict[tuple[float, float], float] = {}
    scale, best = _UNIT, principal
    for shrinkage in (model.transform_shrinkage,) if model.transform_shrinkage else SHRINKAGES:
        whitened = principal / scatter.deviations(shrinkage).astype(np.float32)
        for between, moved in _weighed(model, whitened, scatter.spread(shrinkage), shots):
            moved = transform.unit_length(moved)
            if model.prototype_bias:
                moved = np.concatenate([moved, np.ones([len(moved), 1], moved.dtype)], axis=1)
            logits = prototype_logits(moved, rows, shots, model.prototype_bias)
            temperature, found[shrinkage, between] = fit_temperature(_UNIT * logits, labels)
            if found[shrinkage, between] == min(found.values()):
                scale, best = _UNIT / temperature, moved
    shrinkage, between = min(found, key=lambda tried: found[tried])
    steps = fine_tuning_start.Steps(scale, 1.0, 0.0)
    if not model.support_temperature:
        parts = list(_parts(best, rows, shots, model.prototype_bias))
        steps = fine_tuning_start.choose(
            parts, labels, scale, model.finetuning_unroll_length, biased=model.prototype_bias > 0
        )
    return Start(shrinkage, between, *steps, found)


def _weighed(model, whitened, spread, shots):
    """Yield (between, rows) as the model's transform weighs whitened rows; between is 0 where it does not."""
    if model.embedding_transform != "plda":
        yield 0.0, whitened
        return
    for between in (model.transform_between,) if model.transform_between else BETWEENS:
        yield between, whitened @ plda.scaling(spread, between, shots).astype(np.float32)


def prototype_logits(embeddings, rows, shots, bias=0.0):
    """Return the logits of queries under the support's class means, less their mean over the classes.

    Args:
      embeddings: [rows of a table, dim].
      rows: of every task, [tasks, ways, shots + queries].
      shots: so many of them are support.
      bias: as prototypes.centred's.

    Returns:
      [tasks, ways * queries, ways].
    """
    parts = _parts(embeddings, rows, shots, bias)
    return np.concatenate([queries @ means.transpose(0, 2, 1) for _, _, means, queries in parts])


def _parts(embeddings, rows, shots, bias):
    """Yield (support, its labels, class means, queries) of so many tasks at once as memory has room for."""
    tasks, ways, examples = rows.shape
    at_once = max(1, _FLOATS_AT_ONCE // (ways * examples * embeddings.shape[1]))
    for first in range(0, tasks, at_once):
        gathered = embeddings[rows[first : first + at_once]]
        support, queries = np.split(gathered, [shots], axis=2)
        labels = np.broadcast_to(np.repeat(np.arange(ways), shots), (len(gathered), ways * shots))
        means = prototypes.centred(support.mean(axis=2), bias).numpy()
        yield _joined(support), labels, means, _joined(queries)


def _joined(examples):
    """Join the axes of classes and examples: [tasks, ways, n, dim] -> [tasks, ways * n, dim]."""
    return examples.reshape(len(examples), -1, examples.shape[-1])
