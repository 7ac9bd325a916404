"""How much hangs on a single support example: adaptation with each of them left out."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf.classification.learner import join_examples
from leo_tf.errors import InputError

_TASKS, _QUERIES, _AT_ONCE = 100, 15, 250


class Influence(NamedTuple):
    """Of each support example of some tasks, [tasks, ways, shots]."""

    moved: np.ndarray  # how far the classifier moves, over its length; what all classes share does not count
    changed: np.ndarray  # share of query answers that are others
    lost: np.ndarray  # accuracy with the example less that without it; below 0 it does harm


def leave_one_out(subject):
    """Adapt to tasks with each support example left out in turn.

    Args:
      subject: ClassificationTarget; its first 100 tasks are taken, with 15 queries a class.

    Returns:
      Influence.

    Raises:
      InputError: tasks of one shot.
    """
    if subject.tasks.shots < 2:
        raise InputError(
            "Nothing of a class is left without its only example; expected 2 shots or more for analysis leave_one_out "
            "(num_tr_examples_per_class)."
        )
    found = []
    for episode, _ in subject.of(slice(_TASKS)).episodes("leaving out examples"):
        parts = zip(*(tf.split(part, len(part)) for part in episode), strict=True)
        found += [_of_task(subject.learner, *part) for part in parts]
    return Influence(*(np.stack(each) for each in zip(*found, strict=True)))


def _of_task(learner, support_x, support_y, query_x, query_y):
    """Return Influence's arrays [ways, shots] of one task, whose tensors have a leading axis of 1."""
    _, ways, shots, dim = support_x.shape
    examples, labels = join_examples(support_x)[0], join_examples(support_y)[0]
    count = ways * shots
    kept = np.array([[other for other in range(count) if other != left_out] for left_out in range(count)])
    whole = learner.adapt_in_evaluation(support_x, support_y)
    without = tf.concat(
        [
            learner.adapt_imbalanced(tf.gather(examples, some), tf.gather(labels, some), ways)
            for some in np.split(kept, range(_AT_ONCE, count, _AT_ONCE))
        ],
        axis=0,
    )
    centred, centred_without = (each - tf.reduce_mean(each, axis=1, keepdims=True) for each in (whole, without))
    moved = tf.norm(centred_without - centred, axis=[1, 2]) / tf.norm(centred, axis=[1, 2])
    queries = tf.reshape(query_x[0, :, :_QUERIES], [-1, dim])
    truth = tf.reshape(query_y[0, :, :_QUERIES], [-1])
    answers, others = (tf.argmax(tf.matmul(queries, each, transpose_b=True), -1, tf.int32) for each in (whole, without))
    changed = tf.reduce_mean(tf.cast(others != answers, tf.float32), axis=1)
    right, right_without = (tf.reduce_mean(tf.cast(each == truth, tf.float32), axis=1) for each in (answers, others))
    return tuple(tf.reshape(each, [ways, shots]).numpy() for each in (moved, changed, right - right_without))
