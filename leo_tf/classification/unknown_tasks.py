"""Tasks with queries of classes that the model is not shown, and how well it finds them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf import randomness
from leo_tf.classification.evaluator import adapted_by, require_fits, sampler_of
from leo_tf.classification.learner import join_examples
from leo_tf.classification.metrics import query_logits
from leo_tf.classification.tasks import draw_tasks
from leo_tf.classification.unknown import log_ratios_of
from leo_tf.data import EmbeddingTable, most_ways
from leo_tf.data.episodes import Episode
from leo_tf.errors import InputError
from leo_tf.evaluation.intervals import Interval, confidence_interval

_QUERIES = 15  # per class, at most


def unknown_episodes(
    model: Any,
    table: EmbeddingTable,
    ways: int,
    shots: int,
    num_tasks: int,
    seed: int = 0,
    within: str = "all",
    stream: int = randomness.TEST,
) -> Iterator[tuple[Episode, np.ndarray]]:
    """Yield a few tasks at a time: an Episode of features, and which queries are of a shown class.

    The support has `ways` classes, the queries up to 2 * `ways`, of which the first are shown; which queries are of a
    shown class is bool [classes * queries]. Arguments are as for `draw_tasks`.
    """
    classes = min(2 * ways, most_ways(table, ways, within))
    if classes <= ways:
        there = min(classes, table.num_classes)
        raise InputError(
            f"{table.source} has {there} classes for a task; expected more than ways={ways}, to have queries of a "
            "class that is not shown. Lower ways (num_classes), or add classes.",
            "num_classes",
        )
    queries = max(1, min(_QUERIES, int(table.class_sizes.min()) - shots))
    tasks = draw_tasks(table, classes, shots, queries, num_tasks, seed, stream, within)
    for episode, _ in tasks.episodes(sampler_of(table, tasks, model)):
        shown = {"support_x": episode.support_x[:, :ways], "support_y": episode.support_y[:, :ways]}
        yield episode._replace(**shown), np.repeat(np.arange(classes) < ways, queries)


class UnknownAuroc(NamedTuple):
    """Areas under the ROC curve of telling queries of shown classes from others: means over tasks."""

    log_odds: Interval | None  # by PLDA's log-odds; None for a learner without PLDA
    softmax: Interval  # by the largest probability


def unknown_auroc(
    model: Any,
    table: EmbeddingTable,
    ways: int = 5,
    shots: int = 1,
    num_tasks: int = 200,
    seed: int = 0,
    within: str = "all",
) -> UnknownAuroc:
    """Measure how well a model tells queries of the classes that it was shown from queries of other classes.

    A task has 2 * `ways` classes, or as many as there are. The model is shown the first `ways`.

    Args:
      table: EmbeddingTable of the model's embedding_dim, with more than `ways` classes.
      ways, shots: shape of what the model is shown.
      model, num_tasks, seed, within: as for `evaluate`.

    Raises:
      InputError: the table does not fit the model, or has too few classes or examples.

    Example:
      >>> from leo_tf.classification.unknown_tasks import unknown_auroc
      >>> table = leo_tf.EmbeddingTable.load("", "glyphs", "test")
      >>> found = unknown_auroc(leo_tf.LEO(embedding_dim=table.dim, seed=0), table, ways=3, num_tasks=10)
      >>> found.log_odds is None, found.softmax.mean > 0.5
      (True, True)
    """
    require_fits(model, table)
    model.require_ways(ways)
    by_softmax: list[float] = []
    by_log_odds: list[float] = []
    for episode, shown in unknown_episodes(model, table, ways, shots, num_tasks, seed, within):
        logits, _ = query_logits(adapted_by(model)(episode.support_x, episode.support_y), episode)
        largest = tf.reduce_max(tf.nn.log_softmax(tf.cast(logits, tf.float64)), axis=-1)  # float32 would round to 0
        by_softmax += [area_under_roc(each, shown) for each in largest]
        if model.has_unknown:
            log_odds = tf.reduce_logsumexp(query_log_ratios(model, episode), axis=-1)
            by_log_odds += [area_under_roc(each, shown) for each in log_odds]
    return UnknownAuroc(confidence_interval(by_log_odds) if by_log_odds else None, confidence_interval(by_softmax))


def query_log_ratios(model: Any, episode: Episode) -> tf.Tensor:
    """Return the log-ratios [tasks, ways * queries, shown ways] of the queries of an Episode of features."""
    support = join_examples(episode.support_x), join_examples(episode.support_y)
    return log_ratios_of(join_examples(episode.query_x), model.log_ratios(*support, episode.support_x.shape[1]))


def area_under_roc(scores: Any, positive: np.ndarray) -> float:
    """Return the probability that a positive example has a higher score than a negative one; ties count half."""
    from scipy import stats

    ranks, count = stats.rankdata(scores), positive.sum()
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))
