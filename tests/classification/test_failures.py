"""Failures against counts task by task, and leave-one-out influence against adaptation by hand."""

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, InputError, LEOConfig, MAMLConfig
from leo_tf.classification.analysis_target import ClassificationTarget
from leo_tf.classification.evaluation import evaluate_tasks
from leo_tf.classification.failures import find_failures
from leo_tf.classification.influence import leave_one_out
from leo_tf.classification.maml import MAML, MetaSGD
from leo_tf.classification.tasks import draw_tasks


def target_on(table, shots=2, queries=None, tasks=12):
    model = LEO(LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4), 8, seed=1)
    return ClassificationTarget(model, table, draw_tasks(table, 3, shots, queries, tasks))


@pytest.mark.parametrize("queries", [None, 4])
@pytest.mark.parametrize("name", [pytest.param("table", marks=pytest.mark.long), "uneven_table"])
def test_counts_agree_with_answers_task_by_task(request, name, queries):
    table = request.getfixturevalue(name)
    target = target_on(table, queries=queries)
    found = find_failures(target)
    result = evaluate_tasks(target.learner, table, target.tasks)
    np.testing.assert_allclose(found.task_accuracy, result.task_accuracy, atol=1e-6)
    np.testing.assert_allclose(target.scores()["accuracy"][-1], result.task_accuracy, atol=1e-6)
    np.testing.assert_allclose(target.scores()["loss"][-1], result.task_loss, rtol=1e-4)
    tasks = target.tasks
    assert found.confusion.sum() == 12 * 3 * tasks.queries == found.row_asked.sum() == np.trace(found.possible)
    assert np.trace(found.confusion) == found.row_correct.sum()
    assert found.row_confusion.sum() == found.confusion.sum() - found.row_correct.sum()
    classifier = target.learner.adapt(*next(target.supports())).numpy()
    answered = np.zeros_like(found.confusion)
    for task, rows in enumerate(target.query_rows(tasks)):
        for truth, of_class in zip(tasks.class_ids[task], rows, strict=True):
            answers = (table.embeddings[of_class] @ classifier[task].T).argmax(axis=1)
            np.add.at(answered, (truth, tasks.class_ids[task][answers]), 1)
    np.testing.assert_array_equal(found.confusion, answered)


def test_worst_classes_pairs_and_examples_come_first(table):
    found = find_failures(target_on(table, tasks=40))
    means = [values.mean() for _, values in found.classes()]
    assert means == sorted(means) and sum(len(values) for _, values in found.classes()) == 40 * 3
    assert found.classes(10**6) and all(len(values) >= 5 for _, values in found.classes(5))
    pairs = found.pairs()
    mixed = [rate + back for *_, rate, back in pairs]
    assert mixed == sorted(mixed, reverse=True) and all(rate >= back for *_, rate, back in pairs)
    a, b, rate, _ = pairs[0]
    assert rate == found.confusion[a, b] / found.possible[a, b]
    rows = found.examples(5)
    assert (found.row_asked[rows] >= 5).all() and (np.diff(found.row_correct[rows] / found.row_asked[rows]) >= 0).all()


@pytest.mark.long
def test_leaving_out_a_mislabelled_example_helps(table):
    """In every task the first class has an example of the second among its three: leaving it out must help."""
    target = target_on(table, shots=3, queries=8, tasks=20)
    tasks = target.tasks
    tasks.support_rows[:, 0, 0] = table.class_offsets[tasks.class_ids[:, 1]]
    found = leave_one_out(target)
    assert found.moved.shape == found.changed.shape == found.lost.shape == (20, 3, 3)
    assert found.lost[:, 0, 0].mean() < found.lost[:, 2].mean()
    assert (found.moved > 0).all() and found.moved[:, 0, 0].mean() > found.moved[:, 2].mean()


def test_leaving_out_an_example_is_adaptation_without_it(table):
    target = target_on(table, shots=2, queries=6, tasks=3)
    found = leave_one_out(target)
    support_x, support_y = next(target.supports())
    whole = target.learner.adapt(support_x, support_y)[1].numpy()
    kept = [0, 1, 2, 4, 5]  # without the second of the class 1
    examples = tf.gather(tf.reshape(support_x[1], [6, 8]), kept)[tf.newaxis]
    without = target.learner.adapt_imbalanced(examples, tf.gather(tf.reshape(support_y[1], [6]), kept)[tf.newaxis])[0]
    whole, without = (each - np.mean(each, axis=0) for each in (whole, without.numpy()))
    assert found.moved[1, 1, 1] == pytest.approx(np.linalg.norm(without - whole) / np.linalg.norm(whole), rel=1e-4)


def test_one_shot_tasks_are_refused(table):
    with pytest.raises(InputError, match="without its only one; expected 2 shots"):
        leave_one_out(target_on(table, shots=1))


@pytest.mark.parametrize("kind", [MAML, pytest.param(MetaSGD, marks=pytest.mark.long)])
def test_leaving_out_with_maml(table, kind):
    """The same as adapting by hand, where the class that lost an example has only the other."""
    model = kind(MAMLConfig(maml_steps=2, maml_lr=0.7), 8, 3)
    target = ClassificationTarget(model, table, draw_tasks(table, 3, 2, 5, 4))
    found = leave_one_out(target)
    assert found.moved.shape == (4, 3, 2) and (found.moved > 0).all()
    support_x, support_y = next(target.supports())
    whole = model.adapt(support_x, support_y)[2].numpy()
    without = support_x.numpy()[2:3].copy()
    without[0, 1, 0] = without[0, 1, 1]  # leaving out the first of class 1 leaves the second, which counts for both
    left = model.adapt(without, support_y[2:3])[0].numpy()
    whole, left = (each - each.mean(axis=0) for each in (whole, left))
    assert found.moved[2, 1, 0] == pytest.approx(np.linalg.norm(left - whole) / np.linalg.norm(whole), rel=1e-4)
