"""Choose the "auto" settings of a ProtoLEO on validation tasks, before any training.

The tasks are those of a grid of ways and shots, so that one model serves them all.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.classification.grid import SHOTS, Cell, grid_cells
from leo_tf.classification.plda_classifier import plda_classifier
from leo_tf.classification.softmax_fit import corrected
from leo_tf.classification.tasks import draw_from
from leo_tf.config import AUTO, ProtoLEOConfig
from leo_tf.data import EmbeddingTable, EpisodeSampler
from leo_tf.errors import InputError
from leo_tf.evaluation.calibration import fit_temperature
from leo_tf.transforms import Plda, fit_plda, gain, principal_scatter, unit_length
from leo_tf.transforms.scatter import PrincipalScatter

WITHIN_CLASS_SHRINKAGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
BETWEEN_CLASS_SHRINKAGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
FIT_SCALES = (1.0, 2.0, 5.0, 10.0, 20.0)
FIT_SHOTS = SHOTS  # the numbers of shots that a scale is chosen for: those of the grid
_MOST_QUERIES, _SEED = 10, 0
_MOST_FLOATS = 2**24  # of gathered features at a time
_SUPPORT_BUDGET = 3_000  # support examples of all tasks of a cell, for choosing the fit


class InitializationData(NamedTuple):
    """Data that a learner is initialised on."""

    training: EmbeddingTable  # of the meta-training classes
    validation: EmbeddingTable | None
    ways: int  # of the run's own tasks
    within: str  # "all" or "group", as EpisodeSampler's

    def without_duplicates(self, shots: int = 1) -> "InitializationData":
        """Return the data with one of each duplicate row of a class; see `EmbeddingTable.without_duplicates`.

        A query whose copy is in the support says nothing about new examples: settings chosen on such tasks favour
        whatever memorises the support. Validation classes keep enough rows for tasks of `shots` and one query.
        """
        validation = self.validation and self.validation.without_duplicates(at_least=shots + 1)
        return self._replace(training=self.training.without_duplicates(), validation=validation)


class Drawn(NamedTuple):
    """Validation tasks of one cell of the grid."""

    cell: Cell
    rows: np.ndarray  # [tasks, ways, shots + queries], of the table


def choose(
    proto: ProtoLEOConfig, data: InitializationData, cells: Sequence[Cell] | None = None
) -> tuple[Plda, dict[str, Any], dict[str, float]]:
    """Fit PLDA and choose the "auto" settings, on a grid of tasks or on these cells.

    Returns:
      (Plda, {setting: chosen value}, {"plda_accuracy": mean over the grid of the initial classifier's accuracy}); the
      last two are empty where there is nothing to choose.
    """
    scatter = principal_scatter(data.training.embeddings, data.training.class_sizes)
    names = proto.auto_settings
    if not names:
        plda = fit_plda(scatter, float(proto.within_class_shrinkage))
        return plda.shrunk(float(proto.between_class_shrinkage)), {}, {}
    if data.validation is None:
        raise InputError(
            f"{', '.join(names)} {'are' if len(names) > 1 else 'is'} auto, to be chosen on validation tasks, but "
            "metavalid_tasks=0 was given; expected validation tasks, or a value for each of these settings.",
            *names,
        )
    embeddings, drawn = _draw(data, cells)
    within = _values(proto.within_class_shrinkage, WITHIN_CLASS_SHRINKAGES)
    between = _values(proto.between_class_shrinkage, BETWEEN_CLASS_SHRINKAGES)
    shares, accuracy = _best_shrinkages(scatter, embeddings, drawn, within, between)
    plda = fit_plda(scatter, shares[0]).shrunk(shares[1])
    chosen = dict(zip(("within_class_shrinkage", "between_class_shrinkage"), shares, strict=True))
    found = {name: chosen[name] for name in names if name in chosen}
    if "fit_scale" in names:
        features = _features(_in_axes(embeddings, plda), plda.variances)
        scales = _choose_fit_scales(features, plda, drawn, proto.fit_penalty)
        found |= {fit_scale_at(shots): scale for shots, scale in zip(FIT_SHOTS, scales, strict=True)}
    return plda, found, {"plda_accuracy": accuracy}


def fit_scale_at(shots: int) -> str:
    """Return the name under which the scale chosen for this number of shots is recorded."""
    return f"fit_scale_{shots}_shot"


def _best_shrinkages(
    scatter: PrincipalScatter,
    embeddings: np.ndarray,
    drawn: list[Drawn],
    within: Sequence[float],
    between: Sequence[float],
) -> tuple[tuple[float, float], float]:
    """Return the shrinkages, within and between the classes, of the highest mean accuracy over cells, and that."""

    @functools.lru_cache(maxsize=1)
    def in_axes(share: float) -> tuple[Plda, np.ndarray]:
        plda = fit_plda(scatter, share)
        return plda, _in_axes(embeddings, plda)

    @functools.cache
    def accuracy(shares: tuple[float, float]) -> float:
        plda, rows = in_axes(shares[0])
        variances = plda.shrunk(shares[1]).variances
        return float(np.mean([_accuracy(rows, variances, each) for each in drawn]))

    # One after the other, among every second value, and then both among the neighbours.
    best = max(((share, between[len(between) // 2]) for share in within[::2]), key=accuracy)
    best = max(((best[0], share) for share in between[::2]), key=accuracy)
    best = max(((share, best[1]) for share in _around(within, best[0])), key=accuracy)
    best = max(((best[0], share) for share in _around(between, best[1])), key=accuracy)
    return best, accuracy(best)


def _around(values: Sequence[float], value: float) -> Sequence[float]:
    place = values.index(value)
    return values[max(0, place - 1) : place + 2]


def _in_axes(embeddings: np.ndarray, plda: Plda) -> np.ndarray:
    return (embeddings - plda.mean.astype(np.float32)) @ plda.axes.astype(np.float32)


def _values(setting: float | str, candidates: tuple[float, ...]) -> tuple[float, ...]:
    return candidates if setting == AUTO else (float(setting),)


def _draw(data: InitializationData, cells: Sequence[Cell] | None) -> tuple[np.ndarray, list[Drawn]]:
    """Draw tasks of every cell; return the embeddings that occur in one, of unit length, and the tasks."""
    table: Any = data.validation
    tasks = []
    for cell in cells or grid_cells(table, data.ways, data.within):
        queries = min(_MOST_QUERIES, int(table.class_sizes.min()) - cell.shots)
        sampler = EpisodeSampler(table, cell.ways, cell.shots, queries, data.within)
        found = draw_from(sampler, table.digest, cell.tasks, _SEED, randomness.VALIDATION)
        tasks.append(Drawn(cell, found.rows(sampler)))
    used = np.unique(np.concatenate([each.rows.ravel() for each in tasks]))
    embeddings = unit_length(np.asarray(table.embeddings[used], np.float32))
    return embeddings, [each._replace(rows=np.searchsorted(used, each.rows)) for each in tasks]


def _features(rows: np.ndarray, variances: np.ndarray) -> np.ndarray:
    return unit_length(rows * gain(variances, 1).astype(np.float32))


def _parts(features: np.ndarray, drawn: Drawn) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (support [tasks, ways, shots, dim], queries [tasks, ways * queries, dim]) of as many tasks as fit."""
    tasks, ways, examples = drawn.rows.shape
    at_once = max(1, _MOST_FLOATS // (ways * examples * features.shape[1]))
    for first in range(0, tasks, at_once):
        gathered = features[drawn.rows[first : first + at_once]]
        support, queries = np.split(gathered, [drawn.cell.shots], axis=2)
        yield support, queries.reshape(len(queries), -1, queries.shape[-1])


def _initial(support: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return PLDA's classifier with scale 1, [tasks, ways, dim + 1]."""
    means, shots = support.mean(axis=2), support.shape[2]
    metric = gain(variances, 1).astype(np.float32)
    return plda_classifier(means, shots, variances.astype(np.float32), metric, 1.0).numpy()


def _logits(examples: np.ndarray, classifier: np.ndarray) -> np.ndarray:
    return examples @ classifier[..., :-1].transpose(0, 2, 1) + classifier[:, np.newaxis, :, -1]


def _accuracy(rows: np.ndarray, variances: np.ndarray, drawn: Drawn) -> float:
    features = _features(rows, variances)
    labels = np.repeat(np.arange(drawn.cell.ways), drawn.rows.shape[2] - drawn.cell.shots)
    right = [
        (_logits(queries, _initial(support, variances)).argmax(axis=-1) == labels).mean(axis=1)
        for support, queries in _parts(features, drawn)
    ]
    return float(np.concatenate(right).mean())


def _choose_fit_scales(features: np.ndarray, plda: Plda, drawn: list[Drawn], penalty: float) -> list[float]:
    """Choose the scale for each of FIT_SHOTS by the loss at its best temperature, averaged over the numbers of ways."""
    fit = tf.function(_fit, autograph=False)
    chosen: list[float] = []
    for shots in FIT_SHOTS:
        cells = [each for each in drawn if each.cell.shots == shots]
        if not cells:  # no class has so many examples
            chosen.append(chosen[-1])
            continue
        losses = {s: np.mean([_loss(fit, features, plda, c, s, penalty) for c in cells]) for s in FIT_SCALES}
        chosen.append(min(losses, key=losses.__getitem__))
    return chosen


def _loss(fit: Callable, features: np.ndarray, plda: Plda, drawn: Drawn, scale: float, penalty: float) -> float:
    cell = drawn.cell
    count = max(10, _SUPPORT_BUDGET // (cell.ways * cell.shots))
    found = []
    for support, queries in _parts(features, drawn._replace(rows=drawn.rows[:count])):
        classifier = scale * _initial(support, plda.variances)
        found.append(_logits(queries, fit(tf.constant(support), tf.constant(classifier), tf.constant(penalty)).numpy()))
    logits = np.concatenate(found)
    labels = np.repeat(np.arange(cell.ways), drawn.rows.shape[2] - cell.shots)
    return fit_temperature((logits, np.tile(labels, (len(logits), 1))))[1]


def _fit(support: tf.Tensor, classifier: tf.Tensor, penalty: tf.Tensor) -> tf.Tensor:
    tasks, ways, shots, dim = support.shape
    examples = tf.reshape(support, [tasks, ways * shots, dim])
    targets = tf.repeat(tf.eye(ways), shots, axis=0)[tf.newaxis] * tf.ones([tasks, 1, 1])
    return corrected(classifier, examples, targets, tf.ones([tasks, ways * shots]), penalty)
