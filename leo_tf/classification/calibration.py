"""Calibration of a classification learner, and the temperatures that improve it, fitted on validation tasks."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from leo_tf import randomness
from leo_tf.classification.evaluator import adapted_by, require_fits, sampler_of
from leo_tf.classification.grid import Cell, grid_cells
from leo_tf.classification.metrics import query_logits
from leo_tf.classification.tasks import Tasks, draw_tasks
from leo_tf.classification.unknown import fit_unknown
from leo_tf.classification.unknown_tasks import query_log_ratios, unknown_episodes
from leo_tf.config import RunConfig
from leo_tf.data import EmbeddingTable, most_ways
from leo_tf.evaluation.calibration import Calibration, Tallies, calibration, fit_temperature, tally
from leo_tf.evaluation.fingerprint import fingerprint

_QUERIES = 15  # per class, at most
_TASKS = 300  # of a learner with a fixed number of ways

Answers = tuple[np.ndarray, np.ndarray]  # logits [tasks, queries, ways] and labels [tasks, queries]


def calibrate(model: Any, table: EmbeddingTable, tasks: Tasks, temperature: float = 1.0) -> Calibration:
    """Measure a model's calibration on the queries of tasks; its logits are divided by the temperature."""
    return calibration_of([answers(model, table, tasks)], [temperature])


def answers(model: Any, table: EmbeddingTable, tasks: Tasks) -> Answers:
    """Return the logits of the queries of tasks, and their labels."""
    require_fits(model, table)
    parts = []
    for episode, _ in tasks.episodes(sampler_of(table, tasks, model)):
        classifier = adapted_by(model)(episode.support_x, episode.support_y)
        parts.append([each.numpy() for each in query_logits(classifier, episode)])
    logits, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    return logits, labels


def calibration_of(several: Sequence[Answers], temperatures: Sequence[float]) -> Calibration:
    """Return the Calibration of the answers to tasks of several shapes, whose logits are divided by temperatures."""
    parts = [tally(logits / each, labels) for (logits, labels), each in zip(several, temperatures, strict=True)]
    return calibration(Tallies(*(np.concatenate(each) for each in zip(*parts, strict=True))))


def fit_calibration(learner: Any, table: EmbeddingTable, trained: RunConfig) -> dict[str, Any]:
    """Fit temperatures, and an unknown class where the learner has one, for every number of shots of the grid.

    The tasks are of the validation classes, in the table; those of few and of many ways count alike. A learner with a
    fixed number of ways gets the temperature for tasks of its own shape. Returns a plain dict, for JSON: the fields of
    a `runs.calibration.RunCalibration`, and how well calibrated the learner is before and after.
    """
    episodes, seed = trained.episodes, trained.training.validation_seed
    if learner.fixed_ways is None:
        cells = grid_cells(table, trained.training.metavalid_ways or episodes.num_classes, episodes.tasks_within)
    else:
        cells = [Cell(learner.fixed_ways, episodes.num_tr_examples_per_class, _TASKS)]
    tasks = []
    for ways, shots, count in cells:
        queries = max(1, min(_QUERIES, int(table.class_sizes.min()) - shots))
        within = episodes.tasks_within
        tasks.append(draw_tasks(table, ways, shots, queries, count, seed, randomness.VALIDATION, within))
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
        "validation_tasks": [
            {"ways": each.ways, "shots": each.shots, "queries": each.queries, "num_tasks": len(each)} for each in tasks
        ],
        "before": before.summary(),
        "after": after.summary(),
    }


def _fit_unknown(
    learner: Any, table: EmbeddingTable, cells: Sequence[Cell], trained: RunConfig
) -> list[tuple[float, float]]:
    """Return the temperature and threshold for every number of shots; none without PLDA or with too few classes."""
    seed, within = trained.training.validation_seed, trained.episodes.tasks_within
    most = most_ways(table, 2, within) // 2  # as many classes are shown as are not
    if not learner.has_unknown or most < 2:
        return []
    fitted = []
    for shots in sorted({cell.shots for cell in cells}):
        several = {min(cell.ways, most): cell.tasks for cell in cells if cell.shots == shots}
        found = []
        for ways, num_tasks in several.items():
            drawn = unknown_episodes(learner, table, ways, shots, num_tasks, seed, within, randomness.VALIDATION)
            parts = [(query_log_ratios(learner, each), shown) for each, shown in drawn]
            ratios = np.concatenate([ratios for ratios, _ in parts]).reshape(-1, ways)
            found.append((ratios, np.concatenate([np.tile(shown, len(each)) for each, shown in parts])))
        fitted.append(fit_unknown(*found))
    return fitted
