"""Fit of a learner's calibration on validation tasks, by number of examples per class."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from leo_tf import randomness
from leo_tf.classification.calibration import answers, calibration_of
from leo_tf.classification.grid import Cell, grid_cells
from leo_tf.classification.tasks import Tasks, draw_from
from leo_tf.classification.unknown import fit_unknown
from leo_tf.classification.unknown_tasks import UnknownTasks, query_log_ratios
from leo_tf.config import RunConfig
from leo_tf.data import EmbeddingTable, EpisodeSampler, most_ways
from leo_tf.evaluation.calibration import fit_temperature
from leo_tf.evaluation.fingerprint import fingerprint

_QUERIES = 15  # per class, at most
_TASKS = 300  # of a learner with a fixed number of ways


def fit_calibration(learner: Any, table: EmbeddingTable, trained: RunConfig) -> dict[str, Any]:
    """Fit temperatures, and an unknown class where the learner has one, for every number of shots of the grid.

    Tasks of few and of many ways count alike. A learner with a fixed number of ways gets the temperature for tasks of
    its own shape.

    Args:
      learner: ClassificationLearner.
      table: EmbeddingTable of the validation classes.
      trained: RunConfig that the learner was trained with.

    Returns:
      Plain dict, for JSON: the fields of a `runs.calibration.RunCalibration`, and how well calibrated the learner is
      before and after, over all tasks.

    Raises:
      InputError: the table has too few classes or examples.
    """
    cells = _cells(learner, table, trained)
    tasks = [_draw(table, cell, trained) for cell in cells]
    answered = [answers(learner, table, each) for each in tasks]
    temperatures = {
        shots: fit_temperature(*(each for each, cell in zip(answered, cells, strict=True) if cell.shots == shots))[0]
        for shots in sorted({cell.shots for cell in cells})
    }
    unknown = _fit_unknown(learner, table, cells, trained)
    before = calibration_of(answered, [1.0] * len(cells))
    after = calibration_of(answered, [temperatures[cell.shots] for cell in cells])
    return {
        "shots": list(temperatures),
        "temperatures": list(temperatures.values()),
        "unknown_temperatures": [temperature for temperature, _ in unknown],
        "unknown_thresholds": [threshold for _, threshold in unknown],
        "model_fingerprint": fingerprint(learner),
        "validation_tasks": [_shape(each) for each in tasks],
        "before": before.summary(),
        "after": after.summary(),
    }


def _cells(learner: Any, table: EmbeddingTable, trained: RunConfig) -> Sequence[Cell]:
    episodes = trained.episodes
    if learner.fixed_ways is not None:
        return [Cell(learner.fixed_ways, episodes.num_tr_examples_per_class, _TASKS)]
    return grid_cells(table, trained.training.metavalid_ways or episodes.num_classes, episodes.tasks_within)


def _draw(table: EmbeddingTable, cell: Cell, trained: RunConfig) -> Tasks:
    queries = max(1, min(_QUERIES, int(table.class_sizes.min()) - cell.shots))
    sampler = EpisodeSampler(table, cell.ways, cell.shots, queries, trained.episodes.tasks_within)
    seed = trained.training.validation_seed
    return draw_from(sampler, table.digest, cell.tasks, seed, randomness.VALIDATION)


def _shape(tasks: Tasks) -> dict[str, int]:
    return {"ways": tasks.ways, "shots": tasks.shots, "queries": tasks.queries, "num_tasks": len(tasks)}


def _fit_unknown(
    learner: Any, table: EmbeddingTable, cells: Sequence[Cell], trained: RunConfig
) -> list[tuple[float, float]]:
    """Return the temperature and threshold for every number of shots; none without PLDA or with too few classes.

    As many classes are shown as are not.
    """
    seed, within = trained.training.validation_seed, trained.episodes.tasks_within
    most = most_ways(table, 2, within) // 2
    if not learner.has_unknown or most < 2:
        return []
    fitted = []
    for shots in sorted({cell.shots for cell in cells}):
        several = {min(cell.ways, most): cell.tasks for cell in cells if cell.shots == shots}
        found = []
        for ways, num_tasks in several.items():
            tasks = UnknownTasks(ways, shots, num_tasks, seed, within, randomness.VALIDATION)
            parts = [(query_log_ratios(learner, each), shown) for each, shown in tasks.episodes(learner, table)]
            ratios = np.concatenate([ratios for ratios, _ in parts]).reshape(-1, ways)
            found.append((ratios, np.concatenate([np.tile(shown, len(each)) for each, shown in parts])))
        fitted.append(fit_unknown(*found))
    return fitted
