"""Choice of a baseline's hyperparameter by accuracy on tasks of the validation classes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from leo_tf import randomness
from leo_tf.classification.evaluator import Evaluator, sampler_of
from leo_tf.classification.tasks import Tasks, draw_from, draw_unequal
from leo_tf.data import EmbeddingTable, EpisodeSampler
from leo_tf.errors import InputError
from leo_tf.evaluation.single_process import SINGLE_PROCESS

VALIDATION_TASKS = 200
_FEWEST_TASKS, _SUPPORT_BUDGET = 30, 15_000  # large tasks are fewer: that many support examples in all
_MOST_QUERIES = 50  # per class
_SEED, _MOST_EXTENSIONS, _FACTOR, _LEAST_GAIN = 0, 4, 10.0, 0.001


class Choice(NamedTuple):
    """The value that was chosen, and what it was chosen from."""

    value: float
    accuracies: dict[float, float]  # validation accuracy by value, in the order of trial


def validation_tasks(table: EmbeddingTable, tasks: Tasks) -> Tasks:
    """Draw tasks to choose hyperparameters on, in the shape of these tasks but for the ways if there are too few."""
    if table.num_classes < 2:
        raise InputError(
            f"{table.source} has 1 class; expected at least 2, to choose a baseline's hyperparameter on. Add classes, "
            "or leave out baselines.",
            "baselines",
        )
    ways = min(tasks.ways, table.num_classes)
    queries = max(1, min(_MOST_QUERIES, int(table.class_sizes.min()) - tasks.shots))
    sampler = EpisodeSampler(table, ways, tasks.shots, queries)
    count = min(VALIDATION_TASKS, max(_FEWEST_TASKS, _SUPPORT_BUDGET // (ways * tasks.shots)))
    draw = draw_unequal if tasks.unequal else draw_from
    return draw(sampler, table.digest, count, _SEED, randomness.VALIDATION)


def choose(
    fit: Callable,
    candidates: Sequence[float],
    table: EmbeddingTable,
    tasks: Tasks,
    batch_size: int = 100,
    workers: Any = SINGLE_PROCESS,
) -> Choice:
    """Choose the candidate of highest accuracy, the first one on a tie; all workers call it, and share the tasks.

    Candidates go from the strongest penalty to the weakest, and end after two in a row that are worse than the best by
    a tenth of a point. If the best is the first or the last, up to four more follow by factors of ten, as long as each
    gains a tenth of a point. The table is in the baseline's feature space.
    """
    variable = tf.Variable(candidates[0], dtype=tf.float64, trainable=False)  # one graph serves all
    batch_size = workers.batch_size(len(tasks), batch_size)
    evaluator = Evaluator(lambda x, y: fit(x, y, variable), sampler_of(table, tasks), batch_size)

    def accuracy(value: float) -> float:
        variable.assign(value)
        return float(evaluator.run_with(workers, tasks).accuracy.mean())

    found: dict[float, float] = {}
    for value in candidates:
        found[value] = accuracy(value)
        if max(list(found.values())[-2:]) < max(found.values()) - _LEAST_GAIN:
            break
    for _ in range(_MOST_EXTENSIONS):
        best = max(found, key=found.__getitem__)
        if best not in (max(found), min(found)):
            break
        further = best * _FACTOR if best == max(found) else best / _FACTOR
        found[further] = accuracy(further)
        if found[further] < found[best] + _LEAST_GAIN:
            break
    return Choice(max(found, key=found.__getitem__), found)
