"""Choose the "auto" settings of a ProtoLEO on validation tasks, before any training.

The criterion is the loss of the initial classifier, which LEO then corrects: class means of transformed embeddings.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from leo_tf import randomness
from leo_tf.classification import fine_tuning_init
from leo_tf.classification.prototypes import prototype_classifier
from leo_tf.classification.tasks import draw_from
from leo_tf.config import AUTO, ProtoLEOConfig
from leo_tf.data import EmbeddingTable, EpisodeSampler
from leo_tf.errors import InputError
from leo_tf.evaluation.calibration import fit_temperature
from leo_tf.transforms import fit_transform, plda, principal_scatter, unit_length

WITHIN_CLASS_SHRINKAGES = tuple(float(f"{10**power:.1g}") for power in np.arange(-3, 2.1, 0.5))  # 0.001, 0.003 ... 100
BETWEEN_CLASS_SHRINKAGES = tuple(float(f"{10**power:.1g}") for power in np.arange(-2.5, 1.1, 0.5))  # 0.003 ... 10
_TASKS, _MOST_QUERIES, _SEED = 200, 15, 0
_LOGIT_SCALE = 10.0  # of logits whose temperature is fitted, so that scales from 0.1 to 1000 can be found
_FEW_ERRORS = 0.97  # accuracy from which on queries are dropped out
_MOST_FLOATS = 2**24  # of gathered embeddings at a time
_STEP_TASKS, _MOST_PRODUCTS = (50, 1000), 2**26  # smallest and largest number of tasks for choosing steps; memory


class InitializationData(NamedTuple):
    """Data that a learner is initialised on."""

    training: EmbeddingTable  # of the meta-training classes
    validation: EmbeddingTable | None
    ways: int  # of the validation tasks
    shots: int
    within: str  # "all" or "group", as EpisodeSampler's


class Scored(NamedTuple):
    """The initial classifier with certain shrinkages, on the validation tasks."""

    loss: float  # nats, at the best scale
    scale: float  # of the prototypes, at which the loss is least
    accuracy: float  # in [0, 1]


def score_candidates(proto: ProtoLEOConfig, data: InitializationData) -> dict[tuple[float, float], Scored]:
    """Score every candidate (within_class_shrinkage, between_class_shrinkage) on 200 validation tasks.

    A shrinkage that is a number is its only candidate; one that the transform does not use is 0.
    """
    sampler, candidates = _validation_sampler(data), _Candidates(proto, data.training, data.shots)
    embeddings, rows, labels = _draw(sampler, data.validation, _TASKS)
    principal = candidates.principal(embeddings)
    found = {}
    for tried in itertools.product(candidates.within_class_shrinkages, candidates.between_class_shrinkages):
        logits = prototype_logits(candidates.features(principal, *tried), rows, data.shots, proto.prototype_bias)
        temperature, loss = fit_temperature(_LOGIT_SCALE * logits, labels)
        accuracy = float(np.mean(logits.argmax(axis=-1) == labels))
        found[tried] = Scored(loss, _LOGIT_SCALE / temperature, accuracy)
    return found


def choose(
    proto: ProtoLEOConfig, data: InitializationData, finetuning_steps: int, codes_per_class: int = 1
) -> tuple[dict[str, Any], dict[str, float]]:
    """Choose the "auto" settings by the least loss on validation tasks.

    Returns:
      ({setting: chosen value}, {"prototype_accuracy": of the scaled prototypes alone, in [0, 1]}); the first also has
      finetuning_lr_init and bias_finetuning_lr_init where the support temperature is "auto", multiplied by
      `codes_per_class`, by which the learner divides them. Both are empty where there is nothing to choose.
    """
    if not (names := proto.auto_settings):
        return {}, {}
    if data.validation is None:
        raise InputError(
            f"{', '.join(names)} {'are' if len(names) > 1 else 'is'} auto, to be chosen on validation tasks, but "
            "metavalid_tasks=0 was given; expected validation tasks, or a value for each of these settings.",
            *names,
        )
    scored = score_candidates(proto, data)
    shrinkages = min(scored, key=lambda tried: scored[tried].loss)
    best = scored[shrinkages]
    chosen = {
        "within_class_shrinkage": shrinkages[0],
        "between_class_shrinkage": shrinkages[1],
        "prototype_scale": best.scale,
        "query_dropout": "all" if best.accuracy >= _FEW_ERRORS else "none",
        "support_temperature": 1.0,
    }
    rates = {}
    if proto.support_temperature == AUTO and finetuning_steps:
        steps = _choose_steps(proto, data, shrinkages, best.scale, finetuning_steps)
        rate = steps.rate * codes_per_class
        rates = {"finetuning_lr_init": rate, "bias_finetuning_lr_init": steps.bias_share * rate}
        chosen |= {"prototype_scale": steps.scale, "support_temperature": steps.temperature}
    return {name: chosen[name] for name in names} | rates, {"prototype_accuracy": best.accuracy}


def _choose_steps(
    proto: ProtoLEOConfig,
    data: InitializationData,
    shrinkages: tuple[float, float],
    scale: float,
    finetuning_steps: int,
) -> fine_tuning_init.Steps:
    """Choose the initial values of fine-tuning on up to 1,000 validation tasks."""
    sampler, candidates = _validation_sampler(data), _Candidates(proto, data.training, data.shots)
    per_task = data.ways**2 * data.shots * (data.shots + sampler.queries)
    count = int(np.clip(_MOST_PRODUCTS // per_task, *_STEP_TASKS))
    embeddings, rows, labels = _draw(sampler, data.validation, count)
    features = candidates.features(candidates.principal(embeddings), *shrinkages)
    has_bias = proto.prototype_bias > 0
    parts = [
        fine_tuning_init.products(*part, has_bias) for part in _parts(features, rows, data.shots, proto.prototype_bias)
    ]
    products = fine_tuning_init.Products(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    fixed_scale = None if proto.prototype_scale == AUTO else float(proto.prototype_scale)
    return fine_tuning_init.choose(products, labels, fixed_scale or scale, finetuning_steps, has_bias, fixed_scale)


def _validation_sampler(data: InitializationData) -> EpisodeSampler:
    """Return the sampler of the tasks to choose on; it names a class that is too small for them."""
    assert data.validation is not None  # checked in choose
    queries = min(_MOST_QUERIES, max(0, int(data.validation.class_sizes.min()) - data.shots))
    return EpisodeSampler(data.validation, data.ways, data.shots, queries or None, data.within)


def _draw(sampler: EpisodeSampler, table: Any, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (embeddings of all examples [rows, dim], their rows in every task, labels of the queries) of tasks."""
    tasks = draw_from(sampler, table.digest, count, _SEED, randomness.VALIDATION)
    used, rows = np.unique(tasks.rows(sampler), return_inverse=True)
    labels = np.tile(np.repeat(np.arange(sampler.ways), sampler.queries), (count, 1))
    return table.embeddings[used], rows.reshape(count, sampler.ways, -1), labels


class _Candidates:
    """Features under every candidate of the shrinkages, in the principal directions of the within-class scatter.

    There whitening is a division, and angles are the same as in any other basis.
    """

    def __init__(self, proto: ProtoLEOConfig, training: EmbeddingTable, shots: int) -> None:
        self._kind, self._bias, self._shots = proto.feature_transform, proto.prototype_bias, shots
        self._whitens = self._kind in ("whiten", "plda")
        self.within_class_shrinkages = _values(proto.within_class_shrinkage, WITHIN_CLASS_SHRINKAGES, self._whitens)
        is_plda = self._kind == "plda"
        self.between_class_shrinkages = _values(proto.between_class_shrinkage, BETWEEN_CLASS_SHRINKAGES, is_plda)
        if self._kind == "none":
            self._mean = np.zeros(training.dim)
        elif self._kind == "center":
            self._mean = fit_transform("center", training.embeddings, training.class_sizes).mean
        else:
            self._scatter = principal_scatter(training.embeddings, training.class_sizes)
            self._spread = functools.lru_cache(self._scatter.class_mean_spread)

    def principal(self, embeddings: np.ndarray) -> np.ndarray:
        """Return embeddings [rows, dim] of unit length, centered, in principal directions."""
        rows = unit_length(np.asarray(embeddings, np.float64))
        if not self._whitens:
            return (rows - self._mean).astype(np.float32)
        return ((rows - self._scatter.mean) @ self._scatter.directions).astype(np.float32)

    def features(self, principal: np.ndarray, within: float, between: float) -> np.ndarray:
        """Return the features of the result of `principal` with these shrinkages, and the constant of a bias."""
        rows = principal
        if self._whitens:
            rows = rows / self._scatter.deviations(within).astype(np.float32)
        if self._kind == "plda":
            rows = rows @ plda.scaling(self._spread(within), between, self._shots).astype(np.float32)
        rows = unit_length(rows)
        return np.concatenate([rows, np.ones([len(rows), 1], rows.dtype)], 1) if self._bias else rows


def _values(setting: float | str, candidates: tuple[float, ...], applies: bool) -> tuple[float, ...]:
    if not applies:
        return (0.0,)
    return candidates if setting == AUTO else (float(setting),)


def prototype_logits(features: np.ndarray, rows: np.ndarray, shots: int, bias: float = 0.0) -> np.ndarray:
    """Return the logits [tasks, ways * queries, ways] of queries under the support's prototypes, with scale 1.

    Features are [rows of a table, dim]; the rows of every task are [tasks, ways, shots + queries].
    """
    parts = _parts(features, rows, shots, bias)
    return np.concatenate([queries @ means.transpose(0, 2, 1) for _, _, means, queries in parts])


def _parts(
    features: np.ndarray, rows: np.ndarray, shots: int, bias: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (support, its labels, prototypes, queries) of as many tasks at a time as fit into memory."""
    tasks, ways, examples = rows.shape
    at_once = max(1, _MOST_FLOATS // (ways * examples * features.shape[1]))
    for first in range(0, tasks, at_once):
        gathered = features[rows[first : first + at_once]]
        support, queries = np.split(gathered, [shots], axis=2)
        labels = np.tile(np.repeat(np.arange(ways), shots), (len(gathered), 1))
        prototypes = prototype_classifier(support.mean(axis=2), bias).numpy()
        support, queries = (part.reshape(len(part), -1, part.shape[-1]) for part in (support, queries))
        yield support, labels, prototypes, queries
