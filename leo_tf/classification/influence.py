"""Influence of single support examples: adaptation with each of them left out."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf.classification.analysis_target import ClassificationTarget
from leo_tf.classification.learner import ClassificationLearner, join_examples
from leo_tf.errors import InputError

_TASKS, _QUERIES, _AT_ONCE = 100, 15, 250


class Influence(NamedTuple):
    """Changes without each support example, [tasks, ways, shots]."""

    moved: np.ndarray  # distance between the classifiers over the length of the whole one, both centred over classes
    changed: np.ndarray  # fraction of query answers that change
    lost: np.ndarray  # accuracy with the example less that without it; negative where the example does harm


def leave_one_out(target: ClassificationTarget) -> Influence:
    """Adapt to a target's first 100 tasks of 2 shots or more, leaving out each support example in turn."""
    if target.tasks.shots < 2:
        raise InputError(
            "A class has no example left without its only one; expected 2 shots or more "
            f"(num_tr_examples_per_class={target.tasks.shots}) for the analysis leave_one_out.",
            "num_tr_examples_per_class",
        )
    found = []
    for episode, _ in target.take(slice(_TASKS)).episodes("leaving out examples"):
        parts = zip(*(tf.split(part, len(part)) for part in episode), strict=True)
        found += [_of_task(target.learner, *part) for part in parts]
    return Influence(*(np.stack(each) for each in zip(*found, strict=True)))


def _of_task(
    learner: ClassificationLearner, support_x: tf.Tensor, support_y: tf.Tensor, query_x: tf.Tensor, query_y: tf.Tensor
) -> tuple[np.ndarray, ...]:
    """Return the fields of Influence, [ways, shots], for one task; its tensors have a leading axis of 1."""
    _, ways, shots, dim = support_x.shape
    examples, labels = join_examples(support_x)[0], join_examples(support_y)[0]
    count = ways * shots
    kept = np.array([[other for other in range(count) if other != left_out] for left_out in range(count)])
    whole = learner.adapt_in_evaluation(support_x, support_y)
    without = tf.concat(
        [
            learner.adapt_imbalanced_features(tf.gather(examples, some), tf.gather(labels, some), ways)
            for some in np.split(kept, range(_AT_ONCE, count, _AT_ONCE))
        ],
        axis=0,
    )
    centred, centred_without = (each - tf.reduce_mean(each, axis=1, keepdims=True) for each in (whole, without))
    moved = tf.norm(centred_without - centred, axis=[1, 2]) / tf.norm(centred, axis=[1, 2])
    queries = tf.reshape(query_x[:, :, :_QUERIES], [1, -1, dim])
    truth = tf.reshape(query_y[0, :, :_QUERIES], [-1])
    answers, others = (tf.argmax(learner.logits(queries, each), -1, tf.int32) for each in (whole, without))
    changed = tf.reduce_mean(tf.cast(others != answers, tf.float32), axis=1)
    right, right_without = (tf.reduce_mean(tf.cast(each == truth, tf.float32), axis=1) for each in (answers, others))
    return tuple(tf.reshape(each, [ways, shots]).numpy() for each in (moved, changed, right - right_without))
