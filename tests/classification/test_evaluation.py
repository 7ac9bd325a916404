"""Evaluation against NumPy: intervals, nearest class mean, and both ways of scoring."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from leo_tf import LEO, EmbeddingTable, EpisodeSampler, InputError, LEOConfig, evaluate, randomness
from leo_tf.classification import evaluator
from leo_tf.classification.baselines import nearest_class_mean
from leo_tf.classification.evaluator import Evaluator
from leo_tf.classification.metrics import LinearClassifier
from leo_tf.classification.tasks import draw_from
from leo_tf.evaluation.intervals import confidence_interval

TASKS = 7
BLOCKS, GATHERED = 1, 10**9  # queries per class from which whole classes are read


def test_confidence_interval_by_hand():
    interval = confidence_interval([0.5, 0.7, 0.6, 0.8])
    assert interval.mean == pytest.approx(0.65, rel=1e-12)
    # s = sqrt(0.05 / 3), t(0.975, 3) = 3.182446
    assert interval.half_width == pytest.approx(3.182446305 * np.sqrt(0.05 / 3) / 2, rel=1e-8)
    assert interval.percent() == "65.00 +- 20.54 %"


def test_confidence_interval_equals_scipys():
    values = np.random.default_rng(0).random(100)
    low, high = stats.t.interval(0.95, 99, values.mean(), stats.sem(values))
    mean, half_width = confidence_interval(values.astype(np.float32))
    np.testing.assert_allclose([mean - half_width, mean + half_width], [low, high], rtol=1e-6)


def test_confidence_interval_needs_two_values():
    with pytest.raises(InputError, match="Got 1 task results; an interval needs at least 2"):
        confidence_interval([0.5])


def task_rows(sampler, seed, stream, num_tasks):
    _, rows = sampler.rows(randomness.stream_seed(seed, stream), 0, num_tasks)
    return np.asarray(rows)


def scores_by_hand(sampler, embeddings, weights_of, seed=3):
    """Per-task accuracy and loss of a rule (support [ways, shots, dim]) -> (weights [ways, dim], bias [ways])."""
    results = []
    for rows in task_rows(sampler, seed, randomness.TEST, TASKS):
        weights, bias = weights_of(embeddings[rows[:, : sampler.shots]].astype(np.float64))
        logits = embeddings[rows[:, sampler.shots :]] @ weights.T + bias  # [ways, queries, ways]
        own = np.diagonal(logits, axis1=0, axis2=2).T
        log_sums = np.log(np.exp(logits).sum(axis=-1))
        right = logits.argmax(axis=-1) == np.arange(sampler.ways)[:, None]
        results.append([right.mean(), (log_sums - own).mean()])
    return np.array(results).T


def prototype_rule(support):
    """Any linear rule will do; this one has a bias and differs from class to class."""
    return 3 * support.mean(axis=1), np.linspace(-0.2, 0.3, len(support))


def prototype_classifier(support_x, support_y):
    ways = support_x.shape[1]
    bias = tf.broadcast_to(tf.linspace(-0.2, 0.3, ways), [support_x.shape[0], ways])
    return LinearClassifier(3 * tf.reduce_mean(support_x, axis=2), tf.cast(bias, tf.float32))


@pytest.mark.parametrize("shots,queries", [(1, None), (3, None), (1, 6), (3, 6)])
@pytest.mark.parametrize("which", ["table", "uneven_table"])
@pytest.mark.parametrize("path", [BLOCKS, GATHERED], ids=["blocks", "gathered"])
def test_both_ways_of_scoring_equal_numpy(request, monkeypatch, which, shots, queries, path):
    table = request.getfixturevalue(which)
    monkeypatch.setattr(evaluator, "_BLOCKS_FROM_QUERIES", path)
    sampler = EpisodeSampler(table, 4, shots, queries)
    tasks = draw_from(sampler, table.digest, TASKS, 3)
    scores = Evaluator(prototype_classifier, sampler, 3).run_on(tasks)  # 3 + 3 + 1 tasks
    accuracy, loss = scores_by_hand(sampler, table.embeddings, prototype_rule)
    assert 0.3 < accuracy.mean() < 0.99  # neither chance nor trivial
    np.testing.assert_allclose(scores.accuracy, accuracy, rtol=1e-6)
    np.testing.assert_allclose(scores.loss, loss, rtol=1e-5)


@pytest.mark.parametrize("path", [BLOCKS, GATHERED], ids=["blocks", "gathered"])
def test_scores_do_not_depend_on_the_batch_size(monkeypatch, uneven_table, path):
    monkeypatch.setattr(evaluator, "_BLOCKS_FROM_QUERIES", path)
    sampler = EpisodeSampler(uneven_table, 3, 2)
    tasks = draw_from(sampler, uneven_table.digest, TASKS, 3)
    runs = [Evaluator(prototype_classifier, sampler, size).run_on(tasks) for size in (1, 7, 10)]
    for run in runs[1:]:
        np.testing.assert_allclose(run.accuracy, runs[0].accuracy, rtol=1e-6)
        np.testing.assert_allclose(run.loss, runs[0].loss, rtol=1e-6)


@pytest.mark.parametrize("path", [BLOCKS, GATHERED], ids=["blocks", "gathered"])
def test_a_classifier_of_zeros_scores_chance(monkeypatch, table, path):
    """Ties go to one class, not to whichever is right."""
    monkeypatch.setattr(evaluator, "_BLOCKS_FROM_QUERIES", path)

    def zeros(support_x, support_y):
        return LinearClassifier(tf.zeros_like(support_x[:, :, 0]), tf.zeros_like(support_x[:, :, 0, 0]))

    sampler = EpisodeSampler(table, 5, 1)
    scores = Evaluator(zeros, sampler, 4).run_on(draw_from(sampler, table.digest, 6, 0))
    np.testing.assert_allclose(scores.accuracy, np.full(6, 0.2), rtol=1e-6)
    np.testing.assert_allclose(scores.loss, np.full(6, np.log(5)), rtol=1e-6)


def test_nearest_class_mean_picks_the_nearest_mean():
    """Means of different lengths, so that leaving out the bias would show."""
    rng = np.random.default_rng(2)
    support = rng.normal(size=(3, 4, 5, 6)) * rng.uniform(0.2, 3, size=(3, 4, 1, 1))
    queries = rng.normal(size=(3, 50, 6))
    classifier = nearest_class_mean(support, np.zeros(support.shape[:3], int))
    logits = np.einsum("tqd,twd->tqw", queries, classifier.weights) + np.asarray(classifier.bias)[:, None]
    distances = np.linalg.norm(queries[:, :, None] - support.mean(axis=2)[:, None], axis=-1)
    np.testing.assert_array_equal(logits.argmax(axis=-1), distances.argmin(axis=-1))
    without_bias = np.einsum("tqd,twd->tqw", queries, classifier.weights)
    assert np.any(without_bias.argmax(axis=-1) != distances.argmin(axis=-1))


@pytest.fixture(scope="module")
def model():
    config = LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4, finetuning_lr_init=0.5)
    return LEO(config, 8, seed=1)


def test_evaluate(model, uneven_table):
    """LEO's and nearest-class-mean's accuracies are of the same tasks, those of the test stream."""
    result = evaluate(model, uneven_table, ways=3, shots=2, num_tasks=TASKS, batch_size=4, seed=3)
    sampler = EpisodeSampler(uneven_table, 3, 2)
    assert (result.ways, result.shots, result.queries, result.num_tasks) == (3, 2, 7, TASKS)

    def leo_rule(support):
        labels = np.zeros((1, 3, 2), np.int32) + np.arange(3)[:, None]
        return model.adapt(support[None].astype(np.float32), labels)[0].numpy(), 0.0

    def distance_rule(support):
        means = support.mean(axis=1)
        return 2 * means, -np.sum(means**2, axis=1)

    accuracy, loss = scores_by_hand(sampler, uneven_table.embeddings, leo_rule)
    nearest, _ = scores_by_hand(sampler, uneven_table.embeddings, distance_rule)
    np.testing.assert_allclose(result.task_accuracy, accuracy, rtol=1e-6)
    assert result.baseline_names.tolist() == ["nearest class mean", "nearest class mean, cosine"]
    np.testing.assert_allclose(result.task_baselines[0], nearest, rtol=1e-6)
    assert result.accuracy.mean == pytest.approx(accuracy.mean(), rel=1e-6)
    assert result.loss.mean == pytest.approx(loss.mean(), rel=1e-5)
    assert result.nearest_class_mean == pytest.approx(confidence_interval(nearest), rel=1e-6)
    summary = result.summary()
    assert summary["accuracy"] == {"mean": result.accuracy.mean, "half_width": result.accuracy.half_width}
    assert summary["data_digest"] == uneven_table.digest
    assert not any(name.startswith("task_") for name in summary)


def test_evaluate_refuses_what_does_not_fit(model, table):
    other = EmbeddingTable.from_dict({"a": np.ones((5, 3)), "b": np.ones((5, 3))}, source="three wide")
    with pytest.raises(InputError, match="three wide has 3-dimensional embeddings; the model was made for 8"):
        evaluate(model, other, ways=2, num_tasks=2)
    with pytest.raises(InputError, match="Got 1 tasks; an interval needs at least 2"):
        evaluate(model, table, num_tasks=1)
