"""The strength of a baseline's penalty, chosen by accuracy on tasks of the validation classes."""

from typing import NamedTuple

import tensorflow as tf

from leo_tf import randomness
from leo_tf.classification.evaluator import Evaluator, sampler_of
from leo_tf.classification.tasks import draw_tasks
from leo_tf.errors import InputError
from leo_tf.evaluation.single_process import SINGLE_PROCESS

VALIDATION_TASKS = 200
_SEED, _MOST_EXTENSIONS, _FACTOR, _WORTH_GOING_ON = 0, 4, 10.0, 0.001


class Choice(NamedTuple):
    """What was chosen, and from what."""

    strength: float
    accuracies: dict[float, float]  # validation accuracy by strength, in the order of trial


def validation_tasks(table, ways, shots):
    """Draw the tasks that strengths are chosen on.

    Args:
      table: EmbeddingTable of the validation classes.
      ways: as many classes, or all that there are.
      shots: support examples of a class.

    Returns:
      Tasks.

    Raises:
      InputError: there is one class only, or too few examples of one.
    """
    if table.num_classes < 2:
        raise InputError(
            f"{table.source} has 1 class; expected at least 2, to choose the strength of a baseline on. Add classes, "
            "or leave out baselines."
        )
    ways = min(ways, table.num_classes)
    return draw_tasks(table, ways, shots, None, VALIDATION_TASKS, _SEED, randomness.VALIDATION)


def choose(fit, strengths, table, tasks, batch_size=100, workers=SINGLE_PROCESS):
    """Choose the strength of best accuracy; of equal ones the first.

    Where the best is the largest or the smallest, others follow by factors of ten, up to four and while they gain a
    tenth of a point.

    Args:
      fit: function (support_x, support_y, strength, a scalar tensor) -> LinearClassifier.
      strengths: numbers above 0, from the strongest penalty to the weakest.
      table: EmbeddingTable of the validation classes, in the space of the baseline.
      tasks: Tasks of it.
      batch_size: tasks at once.
      workers: Collectives that the tasks are spread over; all of its workers call this, and choose the same.

    Returns:
      Choice.
    """
    strength = tf.Variable(strengths[0], dtype=tf.float64, trainable=False)  # one graph serves all
    batch_size = workers.batch_size(len(tasks), batch_size)
    evaluator = Evaluator(lambda x, y: fit(x, y, strength), sampler_of(table, tasks), batch_size)

    def accuracy(value):
        strength.assign(value)
        scores = workers.spread(lambda some: evaluator.run_on(tasks.take(some)), len(tasks), batch_size)
        return float(scores.accuracy.mean())

    found = {value: accuracy(value) for value in strengths}
    for _ in range(_MOST_EXTENSIONS):
        best = max(found, key=found.__getitem__)
        if best not in (max(found), min(found)):
            break
        further = best * _FACTOR if best == max(found) else best / _FACTOR
        found[further] = accuracy(further)
        if found[further] < found[best] + _WORTH_GOING_ON:
            break
    return Choice(max(found, key=found.__getitem__), found)
