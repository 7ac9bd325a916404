"""Fit of a learner's calibration on validation tasks, by number of examples per class."""

from collections.abc import Sequence
from typing import Any

from leo_tf import randomness
from leo_tf.classification.calibration import answers, calibration_of
from leo_tf.classification.grid import Cell, grid_cells
from leo_tf.classification.tasks import Tasks, draw_from
from leo_tf.config import RunConfig
from leo_tf.data import EmbeddingTable, EpisodeSampler
from leo_tf.evaluation.calibration import fit_temperature
from leo_tf.evaluation.fingerprint import fingerprint

_QUERIES, _TASKS = 15, 300  # per class, at most; of a learner for one number of ways


def fit_calibration(learner: Any, table: EmbeddingTable, trained: RunConfig) -> dict[str, Any]:
    """Fit a temperature for every number of shots of the grid, over its numbers of ways together.

    A learner with a fixed number of ways gets the temperature for tasks of its own shape.

    Args:
      learner: ClassificationLearner.
      table: EmbeddingTable of the validation classes.
      trained: RunConfig that the learner was trained with.

    Returns:
      Plain dict, for JSON: `shots`, `temperatures`, and how well calibrated the learner is before and after, over all
      tasks.

    Raises:
      InputError: the table has too few classes or examples.
    """
    cells = _cells(learner, table, trained)
    tasks = [_draw(table, cell, trained) for cell in cells]
    answered = [answers(learner, table, each) for each in tasks]
    shots = sorted({cell.shots for cell in cells})
    of_shots = {
        number: fit_temperature(*(each for each, cell in zip(answered, cells, strict=True) if cell.shots == number))[0]
        for number in shots
    }
    before = calibration_of(answered, [1.0] * len(cells))
    after = calibration_of(answered, [of_shots[cell.shots] for cell in cells])
    return {
        "shots": shots,
        "temperatures": list(of_shots.values()),
        "model_fingerprint": fingerprint(learner),
        "validation_tasks": [_shape(each) for each in tasks],
        "before": before.summary(),
        "after": after.summary(),
    }


def _cells(learner: Any, table: EmbeddingTable, trained: RunConfig) -> Sequence[Cell]:
    episodes = trained.episodes
    ways = trained.training.metavalid_ways or episodes.num_classes
    if learner.fixed_ways is not None:
        return [Cell(ways, episodes.num_tr_examples_per_class, _TASKS)]
    return grid_cells(table, ways, episodes.tasks_within)


def _draw(table: EmbeddingTable, cell: Cell, trained: RunConfig) -> Tasks:
    queries = min(_QUERIES, int(table.class_sizes.min()) - cell.shots)
    sampler = EpisodeSampler(table, cell.ways, cell.shots, queries, trained.episodes.tasks_within)
    seed = trained.training.validation_seed
    return draw_from(sampler, table.digest, cell.tasks, seed, randomness.VALIDATION)


def _shape(tasks: Tasks) -> dict[str, int]:
    return {"ways": tasks.ways, "shots": tasks.shots, "queries": tasks.queries, "num_tasks": len(tasks)}
