"""Tasks, classes, pairs of classes and examples that a classifier gets wrong."""

import dataclasses

import numpy as np
import tensorflow as tf

from leo_tf.classification.analysis_target import ClassificationTarget
from leo_tf.data import EmbeddingTable

_MIN_TASKS = 5  # that have both classes of a pair, for its rate to mean something; less where no pair has as many


@dataclasses.dataclass(frozen=True)
class Failures:
    """Answers to the queries of many tasks, by class and by example."""

    task_accuracy: np.ndarray  # [tasks]
    class_accuracy: np.ndarray  # [tasks, ways], over the queries of each class of a task
    class_ids: np.ndarray  # [tasks, ways]
    confusion: np.ndarray  # [classes, classes], number of queries of the row's class answered with the column's
    possible: np.ndarray  # [classes, classes], number of queries of the row's class in tasks that also had the column's
    row_correct: np.ndarray  # [rows], how often each example of the table was answered right
    row_asked: np.ndarray  # [rows], and asked
    row_confusion: np.ndarray  # [rows, classes] int32, how often each example was mistaken for each class

    def classes(self, min_tasks: int = 1) -> list[tuple[int, np.ndarray]]:
        """Return [(class, its accuracy in each of its tasks [n])], worst first, of those in `min_tasks` or the most."""
        found = [(each, self.class_accuracy[self.class_ids == each]) for each in np.unique(self.class_ids).tolist()]
        min_tasks = min(min_tasks, max(len(values) for _, values in found))
        return sorted((each for each in found if len(each[1]) >= min_tasks), key=lambda each: each[1].mean())

    def rates(self) -> np.ndarray:
        """Return how often queries of the row are mistaken for the column, [classes, classes]; NaN if never asked."""
        with np.errstate(invalid="ignore"):
            return self.confusion / self.possible

    def pairs(self) -> list[tuple[int, int, float, float]]:
        """Return [(class, class, rate, rate of the reverse)] of pairs that enough tasks have, most confused first."""
        rates, together = self.rates(), np.zeros_like(self.possible)
        np.add.at(together, (self.class_ids[:, :, np.newaxis], self.class_ids[:, np.newaxis]), 1)
        together = np.triu(together, 1)
        first, second = np.nonzero(together >= max(1, min(_MIN_TASKS, together.max())))
        order = np.argsort(-rates[first, second] - rates[second, first], kind="stable")
        found = []
        for a, b in zip(first[order].tolist(), second[order].tolist(), strict=True):
            pair = (a, b) if rates[a, b] >= rates[b, a] else (b, a)
            found.append((*pair, float(rates[pair]), float(rates[pair[::-1]])))
        return found

    def examples(self, min_asked: int = 10) -> np.ndarray:
        """Return rows, lowest accuracy first, that were asked often enough (or as often as any)."""
        rows = np.flatnonzero(self.row_asked >= min(min_asked, int(self.row_asked.max())))
        return rows[np.argsort(self.row_correct[rows] / self.row_asked[rows], kind="stable")]


def find_failures(target: ClassificationTarget) -> Failures:
    """Answer all queries of a target's tasks and count the answers; a tie takes the first class."""
    classes, rows = target.table.num_classes, target.table.num_rows
    confusion, possible = np.zeros([classes, classes], np.int64), np.zeros([classes, classes], np.int64)
    row_correct, row_asked = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    row_confusion = np.zeros([rows, classes], np.int32)
    class_accuracy = []
    for episode, tasks in target.episodes("finding mistakes"):
        classifier = target.learner.adapt_in_evaluation(episode.support_x, episode.support_y)
        logits, _ = target.logits(episode, classifier[tf.newaxis])
        answers = tf.argmax(logits[0], axis=-1).numpy().reshape(len(tasks), tasks.ways, tasks.queries)
        correct = answers == np.arange(tasks.ways)[:, np.newaxis]
        class_accuracy.append(correct.mean(axis=2))
        truth = np.broadcast_to(tasks.class_ids[..., np.newaxis], answers.shape)
        given = np.take_along_axis(tasks.class_ids, answers.reshape(len(tasks), -1), axis=1).reshape(answers.shape)
        np.add.at(confusion, (truth, given), 1)
        np.add.at(possible, (tasks.class_ids[:, :, np.newaxis], tasks.class_ids[:, np.newaxis]), tasks.queries)
        queries = target.query_rows(tasks)
        np.add.at(row_asked, queries, 1)
        np.add.at(row_correct, queries, correct)
        np.add.at(row_confusion, (queries[~correct], given[~correct]), 1)
    accuracy = np.concatenate(class_accuracy)
    counts = confusion, possible, row_correct, row_asked, row_confusion
    return Failures(accuracy.mean(axis=1), accuracy, target.tasks.class_ids, *counts)


def class_of_row(table: EmbeddingTable, row: int) -> tuple[int, int]:
    """Return the class of a table's row, and the row's number in that class."""
    number = int(np.searchsorted(table.class_offsets, row, side="right")) - 1
    return number, int(row - table.class_offsets[number])
