"""Where a model beyond the paper starts: how embeddings are transformed and prototypes scaled, before any training.

Chosen on validation tasks by the loss of what LEO then corrects: class means of transformed embeddings, as weights of a
classifier. The best shrinkages differ by a factor of a thousand between data sets; finding one takes seconds.
"""

import functools
import itertools
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
_EASY = 0.97  # accuracy
_FLOATS_AT_ONCE = 2**24  # of gathered embeddings
_TASKS_OF_STEPS, _FLOATS_OF_PRODUCTS = (50, 1000), 2**26  # fewest and most tasks that the steps are chosen on, and room

PLDA = LEOConfig(
    feature_transform="plda",
    within_class_shrinkage=0,
    between_class_shrinkage=0,
    prototype_residual=True,
    prototype_scale=0,
    prototype_bias=1.0,
)  # nearest class mean under PLDA, all of it chosen


class Start(NamedTuple):
    """What was chosen, and from what."""

    shrinkage: float
    between: float
    scale: float
    temperature: float  # of the support's logits; 1 where it was not to be chosen
    rate: float  # of fine-tuning, down the loss summed over the support; 0 where it was not to be chosen
    bias_share: float  # of this rate, that of a bias
    losses: dict[tuple[float, float], float]  # nats by shrinkage and between, each at its best scale
    accuracy: float  # of the scaled means alone, in [0, 1]

    @property
    def is_easy(self):
        """Whether the scaled means answer so many queries that there is little left to learn from."""
        return self.accuracy >= _EASY


def choose_start(model, training, validation, ways, shots, within="all"):
    """Choose what a model's settings leave to validation tasks, by the least loss on 200 of them, steps on up to 1,000.

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
    space = _Space(model, training, shots)
    embeddings, rows, labels = _tasks_of(sampler, validation, _TASKS)
    principal = space.principal(embeddings)
    found, scales, accuracies = {}, {}, {}
    shrinkages = (model.within_class_shrinkage,) if model.within_class_shrinkage else SHRINKAGES
    for tried in itertools.product(shrinkages, space.betweens):
        logits = prototype_logits(space.transformed(principal, *tried), rows, shots, model.prototype_bias)
        temperature, found[tried] = fit_temperature(_UNIT * logits, labels)
        scales[tried], accuracies[tried] = _UNIT / temperature, float(np.mean(logits.argmax(axis=-1) == labels))
    best = min(found, key=lambda tried: found[tried])
    if model.support_temperature:
        return Start(*best, scales[best], 1.0, 0.0, 0.0, found, accuracies[best])
    count = int(np.clip(_FLOATS_OF_PRODUCTS // (ways**2 * shots * (shots + queries)), *_TASKS_OF_STEPS))
    embeddings, rows, labels = _tasks_of(sampler, validation, count)
    parts = _parts(space.transformed(space.principal(embeddings), *best), rows, shots, model.prototype_bias)
    biased = model.prototype_bias > 0
    products = [fine_tuning_start.products(x, y, means, others, biased) for x, y, means, others in parts]
    joined = fine_tuning_start.Products(*(np.concatenate(each) for each in zip(*products, strict=True)))
    steps = fine_tuning_start.choose(joined, labels, scales[best], model.finetuning_unroll_length, biased)
    return Start(*best, steps.scale, steps.temperature, steps.rate, steps.bias_share, found, accuracies[best])


def _tasks_of(sampler, table, count):
    """Return (embeddings of all examples [rows, dim], theirs in every task, labels of the queries) of tasks."""
    tasks = draw_from(sampler, table.digest, count, _SEED, randomness.VALIDATION)
    used, rows = np.unique(tasks.rows(sampler), return_inverse=True)
    labels = np.broadcast_to(
        np.repeat(np.arange(sampler.ways), sampler.queries), (count, sampler.ways * sampler.queries)
    )
    return table.embeddings[used], rows.reshape(count, sampler.ways, -1), labels


class _Space:
    """What a model's transform makes of embeddings, in the principal directions of the scatter within classes.

    There whitening is a division, and angles are what they are in any other basis.
    """

    def __init__(self, model, training, shots):
        self._model, self._shots = model, shots
        self._scatter = transform.principal_scatter(training)
        self._spread = functools.lru_cache(self._scatter.spread)
        is_plda = model.feature_transform == "plda"
        self.betweens = (
            ((model.between_class_shrinkage,) if model.between_class_shrinkage else BETWEENS) if is_plda else (0.0,)
        )

    def principal(self, embeddings):
        """Return embeddings [rows, dim] of unit length, centred, in principal directions."""
        centred = transform.unit_length(np.asarray(embeddings, np.float64)) - self._scatter.mean
        return (centred @ self._scatter.directions).astype(np.float32)

    def transformed(self, principal, shrinkage, between):
        """Return what the transform with these shares makes of `principal`'s, with the constant of a bias."""
        moved = principal / self._scatter.deviations(shrinkage).astype(np.float32)
        if self._model.feature_transform == "plda":
            moved = moved @ plda.scaling(self._spread(shrinkage), between, self._shots).astype(np.float32)
        moved = transform.unit_length(moved)
        return (
            np.concatenate([moved, np.ones([len(moved), 1], moved.dtype)], 1) if self._model.prototype_bias else moved
        )


def prototype_logits(embeddings, rows, shots, bias=0.0):
    """Return the logits of queries under the support's class means, less their mean over the classes.

    Args:
      embeddings: [rows of a table, dim].
      rows: of every task, [tasks, ways, shots + queries].
      shots: so many of them are support.
      bias: as prototypes.classifier_of's.

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
        means = prototypes.classifier_of(support.mean(axis=2), bias).numpy()
        yield _joined(support), labels, means, _joined(queries)


def _joined(examples):
    """Join the axes of classes and examples: [tasks, ways, n, dim] -> [tasks, ways * n, dim]."""
    return examples.reshape(len(examples), -1, examples.shape[-1])
