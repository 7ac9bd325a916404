"""Scores of linear classifiers on the queries of their tasks.

Where the queries are whole classes, each class of the table is read once for all tasks of a batch that contain it: 599
gathered queries per class would take 7.7 MB per task.
"""

from typing import NamedTuple

import tensorflow as tf

from leo_tf import objective
from leo_tf.data.episodes import Episode, EpisodeSampler


class LinearClassifier(NamedTuple):
    """A linear classifier for each task: logits = x . weights + bias."""

    weights: tf.Tensor  # [tasks, ways, dim]
    bias: tf.Tensor | None = None  # [tasks, ways]


class Scores(NamedTuple):
    """Averages over the queries of each task."""

    accuracy: tf.Tensor  # [tasks]
    loss: tf.Tensor  # [tasks], cross-entropy in nats


def query_logits(classifier: LinearClassifier, episode: Episode) -> tuple[tf.Tensor, tf.Tensor]:
    """Return (logits [tasks, ways * queries, ways], labels [tasks, ways * queries]) of an Episode's queries."""
    tasks, _, _, dim = episode.query_x.shape
    queries = tf.reshape(episode.query_x, [tasks, -1, dim])
    logits = tf.matmul(queries, classifier.weights, transpose_b=True)
    if classifier.bias is not None:
        logits += classifier.bias[:, tf.newaxis]
    return logits, tf.reshape(episode.query_y, [tasks, -1])


def score_episode(classifier: LinearClassifier, episode: Episode) -> Scores:
    """Score on the gathered queries of an Episode."""
    logits, labels = query_logits(classifier, episode)
    return Scores(objective.accuracy(logits, labels), tf.reduce_mean(objective.cross_entropy(logits, labels), axis=1))


def score_class_blocks(
    classifier: LinearClassifier, sampler: EpisodeSampler, class_ids: tf.Tensor, rows: tf.Tensor
) -> Scores:
    """Score on whole classes, block by block; equal to `score_episode` up to the order of summation.

    `class_ids` [tasks, ways] are from `sampler.rows`. If `sampler.takes_all`, `rows` [tasks, ways, shots] are those of
    the support, and every other row of a class is a query; else they are [tasks, ways, shots + queries].
    """
    class_scores = tf.zeros([*class_ids.shape, 2], classifier.weights.dtype)
    for class_id in tf.range(sampler.num_classes):
        members = tf.where(tf.equal(class_ids, class_id))
        tasks, labels = members[:, 0], members[:, 1]
        start = sampler.class_offsets[class_id]
        block = sampler.embeddings[start : start + sampler.class_sizes[class_id]]
        places = tf.gather_nd(rows, members) - start
        weights = tf.gather(classifier.weights, tasks)
        logits = tf.matmul(tf.reshape(weights, [-1, weights.shape[-1]]), block, transpose_b=True)
        logits = tf.reshape(logits, [-1, weights.shape[1], tf.shape(block)[0]])
        if classifier.bias is not None:
            logits += tf.gather(classifier.bias, tasks)[..., tf.newaxis]
        sums = [_sum_over_queries(measure, places, sampler) for measure in _credit_and_loss(logits, labels)]
        class_scores = tf.tensor_scatter_nd_update(class_scores, members, tf.stack(sums, axis=1))
    return Scores(*tf.unstack(tf.reduce_sum(class_scores, axis=1) / (sampler.queries * sampler.ways), axis=1))


def _credit_and_loss(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return credit (as objective.accuracy) and cross-entropy, [members, rows], of logits [members, ways, rows]."""
    lead = logits - tf.gather(logits, labels, axis=1, batch_dims=1)[:, tf.newaxis]
    highest = tf.reduce_max(lead, axis=1)
    loss = highest + tf.math.log(tf.reduce_sum(tf.exp(lead - highest[:, tf.newaxis]), axis=1))
    return objective.credit(lead, highest, axis=1), loss


def _sum_over_queries(measure: tf.Tensor, places: tf.Tensor, sampler: EpisodeSampler) -> tf.Tensor:
    """Sum [members, rows] over the queries: all but the support's places, or the places after them."""
    if sampler.takes_all:
        return tf.reduce_sum(measure, axis=1) - tf.reduce_sum(tf.gather(measure, places, batch_dims=1), axis=1)
    return tf.reduce_sum(tf.gather(measure, places[:, sampler.shots :], batch_dims=1), axis=1)
