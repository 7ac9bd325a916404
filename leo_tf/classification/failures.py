"""What a classifier gets wrong: tasks, classes, pairs of classes, examples."""

import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Failures:
    """Answers to the queries of many tasks, by class and by example.

    Attributes:
      task_accuracy: [tasks].
      class_accuracy: [tasks, ways], share of a class's queries answered right.
      class_ids: [tasks, ways].
      answered: [classes, classes], queries of the class of the row that were answered with that of the column.
      asked: [classes, classes], queries of the class of the row in tasks that also had that of the column.
      right, asked_rows: [rows], how often each example of the table was answered right, and asked.
      wrong_answers: [rows, classes] int32, what examples were wrongly taken for, and how often.
    """

    task_accuracy: np.ndarray
    class_accuracy: np.ndarray
    class_ids: np.ndarray
    answered: np.ndarray
    asked: np.ndarray
    right: np.ndarray
    asked_rows: np.ndarray
    wrong_answers: np.ndarray

    def classes(self, least=1):
        """Return [(class, its accuracies in tasks [n])], the worst first.

        Args:
          least: tasks that a class was in (or as many as any), for its accuracy to mean something.
        """
        found = [
            (number, self.class_accuracy[self.class_ids == number]) for number in np.unique(self.class_ids).tolist()
        ]
        least = min(least, max(len(values) for _, values in found))
        return sorted((each for each in found if len(each[1]) >= least), key=lambda each: each[1].mean())

    def rates(self):
        """Return [classes, classes]: how often the row's queries are taken for the column; NaN where never asked."""
        with np.errstate(invalid="ignore"):
            return self.answered / self.asked

    def pairs(self, least=5):
        """Return [(class, class, rate, rate the other way)] of pairs of classes, those most mixed up first.

        Args:
          least: tasks that a pair was in together (or as many as any), for its rate to mean something.
        """
        rates, together = self.rates(), np.zeros_like(self.asked)
        np.add.at(together, (self.class_ids[:, :, np.newaxis], self.class_ids[:, np.newaxis]), 1)
        together = np.triu(together, 1)
        first, second = np.nonzero(together >= max(1, min(least, together.max())))
        mixed = rates[first, second] + rates[second, first]
        order = np.argsort(-mixed, kind="stable")
        found = []
        for a, b in zip(first[order].tolist(), second[order].tolist(), strict=True):
            pair = (a, b) if rates[a, b] >= rates[b, a] else (b, a)
            found.append((*pair, float(rates[pair]), float(rates[pair[::-1]])))
        return found

    def examples(self, least=10):
        """Return rows asked at least so often (or as often as any), those answered right most seldom first."""
        least = min(least, int(self.asked_rows.max()))
        rows = np.flatnonzero(self.asked_rows >= least)
        share = self.right[rows] / self.asked_rows[rows]
        return rows[np.argsort(share, kind="stable")]


def failures_of(subject):
    """Answer all queries of a ClassificationTarget's tasks and return the Failures; a tie takes the first class."""
    table = subject.table
    classes, rows = table.num_classes, table.num_rows
    answered, asked = np.zeros([classes, classes], np.int64), np.zeros([classes, classes], np.int64)
    right, asked_rows = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    wrong_answers = np.zeros([rows, classes], np.int32)
    class_accuracy = []
    for episode, tasks in subject.episodes("finding mistakes"):
        classifier = subject.learner.adapt_in_evaluation(episode.support_x, episode.support_y)
        logits, _ = subject.logits(episode, classifier[tf.newaxis])
        answers = tf.argmax(logits[0], axis=-1).numpy().reshape(len(tasks), tasks.ways, tasks.queries)
        correct = answers == np.arange(tasks.ways)[:, np.newaxis]
        class_accuracy.append(correct.mean(axis=2))
        truth = np.broadcast_to(tasks.class_ids[..., np.newaxis], answers.shape)
        given = np.take_along_axis(tasks.class_ids, answers.reshape(len(tasks), -1), axis=1).reshape(answers.shape)
        np.add.at(answered, (truth, given), 1)
        np.add.at(asked, (tasks.class_ids[:, :, np.newaxis], tasks.class_ids[:, np.newaxis]), tasks.queries)
        queries = subject.query_rows(tasks)
        np.add.at(asked_rows, queries, 1)
        np.add.at(right, queries, correct)
        np.add.at(wrong_answers, (queries[~correct], given[~correct]), 1)
    found = np.concatenate(class_accuracy)
    return Failures(
        found.mean(axis=1), found, subject.tasks.class_ids, answered, asked, right, asked_rows, wrong_answers
    )
