"""Validation of requests inside the graph, so that a server answers an invalid one with the reason.

Whatever is computed from the tensors that a function returns runs after its checks, in every runtime.
"""

import re
from collections.abc import Sequence

import tensorflow as tf

from leo_tf.features.images.decoding import require


def checked_support(
    support_x: tf.Tensor, support_y: tf.Tensor, dim: int, max_examples: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Check a support set; return it and its number of ways, one more than the highest label.

    support_x is [tasks, examples, dim], support_y int32 [tasks, examples]; max_examples counts those of all tasks, 0
    is no limit.
    """
    shape, labels_shape = tf.shape(support_x), tf.shape(support_y)
    passed = _of_dim(support_x, "support_x", dim)
    if max_examples:
        passed = require(
            passed,
            tf.size(support_y) <= max_examples,
            f"The support has more than {max_examples} examples; expected fewer: the time grows with their square. "
            "Send fewer tasks or examples, or export with a larger max_examples. Received support_y of shape:",
            labels_shape,
        )
    passed = require(
        passed,
        tf.reduce_all(tf.equal(shape[:2], labels_shape)),
        "support_x and support_y do not match; expected shapes [tasks, examples, dim] and [tasks, examples], received:",
        shape,
        labels_shape,
    )
    passed = require(
        passed,
        tf.size(support_y) > 0,
        "The support is empty; expected at least one task and one example, received support_y of shape:",
        labels_shape,
    )
    with tf.control_dependencies(passed):
        lowest, highest = tf.reduce_min(support_y), tf.reduce_max(support_y)
    passed = require(
        passed, lowest >= 0, "support_y holds a negative label; expected labels 0..ways-1, received the label:", lowest
    )
    passed = require(
        passed,
        highest > 0,
        "support_y holds one class, to which every query would belong; expected labels 0..ways-1 of two classes or "
        "more, received the highest label:",
        highest,
    )
    # Before anything of size `ways` is created: a stray label of a billion must not exhaust the server's memory.
    passed = require(
        passed,
        highest < shape[1],
        "support_y names more classes than a task has examples; expected labels 0..ways-1, each at least once in "
        "every task. Received the highest label, and examples per task:",
        highest,
        shape[1],
    )
    with tf.control_dependencies(passed):
        ways = highest + 1
        absent = tf.equal(tf.reduce_sum(tf.one_hot(support_y, ways, axis=1, dtype=tf.int32), axis=2), 0)
    passed = require(
        passed,
        tf.logical_not(tf.reduce_any(absent)),
        "A class has no support example; expected every label 0..ways-1 at least once in every task. Received ways, "
        "and the first [task, class] without an example:",
        ways,
        tf.where(absent)[:1],
    )
    support_x = _finite(passed, support_x, "support_x")
    with tf.control_dependencies([support_x]):
        return support_x, tf.identity(support_y), ways


def checked_query(query_x: tf.Tensor, tasks: tf.Tensor, other: str, dim: int) -> tf.Tensor:
    """Check queries [tasks, queries, dim] and return them; `tasks` is the number of tasks of the input `other`."""
    same = require(
        _of_dim(query_x, "query_x", dim),
        tf.equal(tf.shape(query_x)[0], tasks),
        f"query_x and {other} differ in tasks, their first axis; expected the same number, received of query_x and "
        f"{other}:",
        tf.shape(query_x)[0],
        tasks,
    )
    return _finite(same, query_x, "query_x")


def checked_classifier(classifier: tf.Tensor, dim: int) -> tf.Tensor:
    """Check a classifier [tasks, ways, dim] and return it."""
    some = require(
        _of_dim(classifier, "classifier", dim),
        tf.shape(classifier)[1] > 0,
        "classifier has no classes; expected [tasks, ways, dim] as `adapt` returns it, received shape:",
        tf.shape(classifier),
    )
    return _finite(some, classifier, "classifier")


def reason_of(error: Exception) -> str:
    """Return the message of a check from the InvalidArgumentError that a runtime raised."""
    found = re.search(r"assertion failed: \[(.*?)\] (\[.*\])", str(error))
    return f"{found[1]} {found[2]}" if found else str(error).splitlines()[0]


def _of_dim(tensor: tf.Tensor, name: str, dim: int) -> list[tf.Operation]:
    """Check a tensor's last axis, because not every runtime compares inputs with the signature."""
    return require(
        [],
        tf.equal(tf.shape(tensor)[-1], dim),
        f"{name} has another dimension than the model's; expected [..., {dim}], received shape:",
        tf.shape(tensor),
    )


def _finite(before: Sequence[tf.Operation], tensor: tf.Tensor, name: str) -> tf.Tensor:
    """Check that a tensor's numbers are finite; return it, to be used after this check and those of `before`."""
    bad = tf.logical_not(tf.math.is_finite(tensor))
    checks = require(
        before,
        tf.logical_not(tf.reduce_any(bad)),
        f"{name} holds NaN or infinity; expected finite numbers, received the first at [task, row, dimension]:",
        tf.where(bad)[:1],
    )
    with tf.control_dependencies(checks):
        return tf.identity(tensor)
