"""Baselines of a model: which ones, the choice of hyperparameters, and that only base classes are fitted to."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from leo_tf import EmbeddingTable, EpisodeSampler, InputError, ProtoLEOConfig
from leo_tf.classification.baselines import (
    FITTED,
    NEAREST_MEANS,
    RAW,
    BaseClasses,
    Scoring,
    model_selection,
    nearest_class_mean_by_cosine,
    planned,
    plda_space,
    requested,
    ridge,
    whitened_by,
)
from leo_tf.classification.baselines.plda import plda_baselines
from leo_tf.classification.evaluator import Evaluator
from leo_tf.classification.grid import Cell
from leo_tf.classification.metrics import LinearClassifier, Scores
from leo_tf.classification.proto_leo_init import InitializationData, choose
from leo_tf.classification.tasks import draw_tasks, draw_unequal
from leo_tf.transforms import plda_transform, principal_scatter, whitening

DIM = 8


def table_of(seed, classes=9, rows=24, source="arrays"):
    rng = np.random.default_rng(seed)
    scatter = np.diag(np.linspace(0.2, 2.5, DIM))
    embeddings = rng.normal(size=(classes, 1, DIM)) + rng.normal(size=(classes, rows, DIM)) @ scatter
    return EmbeddingTable.from_arrays(embeddings.reshape(-1, DIM), np.repeat(np.arange(classes), rows), source=source)


TRAIN, VALIDATION, TEST = (table_of(seed) for seed in (0, 1, 2))
TASKS = draw_tasks(TEST, 3, 2, 6, num_tasks=20)
CHOSEN_ON = model_selection.validation_tasks(VALIDATION, TASKS)


def test_by_cosine_the_angle_decides():
    """Means of different lengths, so that leaving out their scaling would show."""
    rng = np.random.default_rng(2)
    support = rng.normal(size=(3, 4, 5, 6)) * rng.uniform(0.2, 3, size=(3, 4, 1, 1))
    queries = rng.normal(size=(3, 50, 6))
    classifier = nearest_class_mean_by_cosine(support, np.zeros([3, 4, 5], int))
    means = support.mean(axis=2)
    lengths = np.linalg.norm(queries, axis=-1)[:, :, None], np.linalg.norm(means, axis=-1)[:, None]
    cosines = np.einsum("tqd,twd->tqw", queries, means) / lengths[0] / lengths[1]
    logits = np.einsum("tqd,twd->tqw", queries, classifier.weights)
    np.testing.assert_array_equal(logits.argmax(axis=-1), cosines.argmax(axis=-1))
    assert np.any(np.einsum("tqd,twd->tqw", queries, means).argmax(axis=-1) != cosines.argmax(axis=-1))


@pytest.fixture
def choice_with(monkeypatch):
    """A function that replaces the accuracy of every value of the hyperparameter, and returns the Choice."""

    def choose_with(accuracy, candidates=(0.1, 1.0, 10.0)):
        def run_on(self, tasks, name):
            value = float(self._make_classifier(None, None).weights)
            return Scores(np.full(len(tasks), accuracy(value)), None)

        monkeypatch.setattr(model_selection.Evaluator, "run_on", run_on)
        return model_selection.choose(lambda x, y, value: LinearClassifier(value), candidates, TEST, TASKS)

    return choose_with


def test_the_best_value_is_chosen_and_the_first_on_a_tie(choice_with):
    found = choice_with(lambda value: {1.0: 0.75}.get(value, 0.5))
    assert found == (1.0, {0.1: 0.5, 1.0: 0.75, 10.0: 0.5})
    assert choice_with(lambda value: 0.5 if value < 1 else 0.8).value == 1.0


@pytest.mark.parametrize(
    "accuracy,value,number",
    [
        (lambda v: np.exp(-np.abs(np.log10(v) - 3)), 1e3, 6),  # 100, 1000, 10000 after 10
        (lambda v: np.exp(-np.abs(np.log10(v) + 3)), 1e-3, 6),
        (lambda v: 0.5 + np.log10(v) / 100, 1e5, 7),  # always better: four more
        (lambda v: 0.5 + np.log10(v) / 1e5, 100.0, 4),  # the gain of the first is too small
    ],
)
def test_the_search_extends_beyond_the_largest_and_smallest_value(choice_with, accuracy, value, number):
    found = choice_with(accuracy)
    assert found.value == pytest.approx(value, rel=1e-9) and len(found.accuracies) == number


def test_the_value_reaches_the_classifier():
    tasks = draw_tasks(VALIDATION, 3, 2, 6, num_tasks=10)
    found = model_selection.choose(ridge, (1e3, 1e-3), VALIDATION, tasks)
    for penalty in (1e3, 1e-3):
        sampler = EpisodeSampler(VALIDATION, 3, 2, 6)
        alone = Evaluator(lambda x, y, penalty=penalty: ridge(x, y, penalty), sampler, 10).run_on(tasks)
        assert found.accuracies[penalty] == pytest.approx(float(alone.accuracy.mean()), rel=1e-6)
    assert found.accuracies[1e3] != found.accuracies[1e-3]


def test_validation_tasks_have_at_most_as_many_ways_as_classes():
    of_five = draw_tasks(TEST, 5, 2, 6, num_tasks=2)
    tasks = model_selection.validation_tasks(table_of(3, classes=4), of_five)
    assert (tasks.ways, tasks.shots, len(tasks)) == (4, 2, 200)
    with pytest.raises(InputError, match=r"one has 1 class; expected at least 2.*leave out baselines"):
        model_selection.validation_tasks(table_of(3, classes=1, source="one"), of_five)


def test_large_tasks_are_fewer_and_unequal_tasks_unequal():
    sampler = EpisodeSampler(table_of(3, classes=9, rows=120), 9, 80, 6)
    tasks = draw_unequal(sampler, "", 2, 0)
    found = model_selection.validation_tasks(table_of(4, classes=9, rows=120), tasks)
    assert len(found) == 30 and found.unequal and found.support_rows.shape[1:] == (9, 80)


def test_the_search_ends_after_two_values_that_are_clearly_worse(choice_with):
    falling = {0.1: 0.5, 1.0: 0.7, 10.0: 0.69, 100.0: 0.6, 1e3: 0.9}
    found = choice_with(falling.__getitem__, tuple(falling))
    assert found.value == 1.0 and list(found.accuracies) == [0.1, 1.0, 10.0, 100.0]
    flat = {0.1: 0.5, 1.0: 0.4995, 10.0: 0.4995, 100.0: 0.6, 1e3: 0.5}
    assert choice_with(flat.__getitem__, tuple(flat)).value == 100.0


def whitened(table=TRAIN):
    return whitening(principal_scatter(table.embeddings, table.class_sizes))


def test_a_baseline_is_scored_in_its_feature_space():
    scoring = Scoring(TEST, TASKS, 7, lambda: VALIDATION)
    space = whitened_by(TRAIN)
    found = scoring.measure(FITTED["ridge"], space)
    assert found.title == "ridge, whitened" and found.hyperparameter == "penalty"
    validation, test = (
        dataclasses.replace(table, embeddings=whitened().apply(table.embeddings)) for table in (VALIDATION, TEST)
    )
    tasks = model_selection.validation_tasks(VALIDATION, TASKS)
    chosen = model_selection.choose(ridge, FITTED["ridge"].candidates, validation, tasks)
    assert found.choice == chosen
    sampler = EpisodeSampler(test, 3, 2, 6)
    expected = Evaluator(lambda x, y: ridge(x, y, chosen.value), sampler, 20).run_on(TASKS)
    np.testing.assert_allclose(found.accuracy, expected.accuracy, rtol=1e-6)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5)
    summary = found.summary()
    assert summary["penalty"] == chosen.value and len(summary["validation_accuracy"]) == len(chosen.accuracies)


def test_baselines_in_the_order_of_the_report():
    def titles(names=(), base_classes=None, load_plda=None):
        return [f"{kind.title} {space.adjective}".strip() for kind, space in planned(names, base_classes, load_plda)]

    means = [kind.title for kind in NEAREST_MEANS.values()]
    base_classes = BaseClasses(TRAIN.digest, [lambda: TRAIN])
    assert titles() == means
    first = [*means, *(f"{name} whitened" for name in means)]
    assert titles((), base_classes) == first
    assert titles(requested(["lda", "ridge"]), base_classes) == [*first, "ridge", "ridge whitened", "LDA"]
    of_plda = [*means, "logistic regression", "predictive classifier", "predictive classifier + logistic regression"]
    found = titles(["plda"], base_classes, lambda: base_classes.plda(VALIDATION, CHOSEN_ON))
    assert found == [*first, *(f"{name} PLDA" for name in of_plda)]
    assert requested(["all"]) == requested(["plda", "lda", "ridge", "logistic_regression"])
    with pytest.raises(InputError, match=r"Got baselines=svm; expected all, or some of logistic_regression, ridge, l"):
        requested(["ridge", "svm"])


def test_only_the_recorded_base_classes_are_fitted_to(caplog):
    def missing():
        raise InputError("No file.")

    found = BaseClasses(TRAIN.digest, [missing, lambda: TEST, lambda: TRAIN])
    for values, expected in zip(found.whitened.transform, whitened(), strict=True):
        np.testing.assert_array_equal(values, expected)
    assert found.lda is not None and not caplog.records
    for digest, loaders, reason in (
        (TRAIN.digest, [missing], "No file."),
        (TRAIN.digest, [lambda: TEST], f"sha256 {TEST.digest[:12]}..., the run was trained on {TRAIN.digest[:12]}"),
        (None, [lambda: TRAIN], "did not record"),
    ):
        caplog.clear()
        found = BaseClasses(digest, loaders)
        assert found.whitened is None and found.lda is None
        assert [reason in record.message and "\n" not in record.message for record in caplog.records] == [True]
    caplog.clear()
    one_each = EmbeddingTable.from_arrays(np.eye(3), ["a", "b", "c"])
    assert BaseClasses(one_each.digest, [lambda: one_each]).whitened is None
    assert "No meta-training class has two different embeddings" in caplog.text


def test_other_validation_and_test_classes_change_neither_spaces_nor_covariance():
    """Scores of a task do not depend on the other classes in its table."""
    base_classes = BaseClasses(TRAIN.digest, [lambda: TRAIN])
    more = EmbeddingTable.from_arrays(
        np.concatenate([TEST.embeddings, 5 + np.random.default_rng(9).normal(size=(48, DIM))]),
        np.repeat(np.arange(11), 24),
    )
    more_validation = EmbeddingTable.from_arrays(VALIDATION.embeddings[:96], np.repeat(np.arange(4), 24))
    tasks = SimpleNamespace(**{n: getattr(TASKS, n) for n in ("class_ids", "support_rows", "query_rows", "queries")})
    same = type(TASKS)(**vars(tasks), data_digest=more.digest)
    first, second = Scoring(TEST, TASKS, 20, lambda: VALIDATION), Scoring(more, same, 20, lambda: more_validation)
    for kind, space in planned(["lda"], base_classes):
        pinned = kind if not kind.candidates else type(kind)(kind.title, lambda x, y, _, fit=kind.fit: fit(x, y, 0.3))
        np.testing.assert_array_equal(first.measure(pinned, space).accuracy, second.measure(pinned, space).accuracy)
        if space is not RAW:
            np.testing.assert_array_equal(space.transform.matrix, whitened_by(TRAIN).transform.matrix)


def test_plda_is_fitted_to_base_classes_and_chosen_on_validation_classes():
    plda, space = plda_space(TRAIN, VALIDATION, CHOSEN_ON)
    data = InitializationData(TRAIN, VALIDATION, 3, "all")
    expected, chosen, _ = choose(ProtoLEOConfig(fit_penalty=0.0), data, [Cell(3, 2, 200)])
    assert list(chosen) == ["within_class_shrinkage", "between_class_shrinkage"]
    np.testing.assert_array_equal(space.transform.matrix, plda_transform(expected, 2).matrix)
    np.testing.assert_array_equal(plda.variances, expected.variances)
    assert BaseClasses("other", [lambda: TRAIN]).plda(VALIDATION, CHOSEN_ON) == []


@pytest.mark.long
def test_the_predictive_classifier_is_better_than_raw_class_means():
    pairs = {
        f"{kind.title} {each.adjective}": (kind, each) for kind, each in plda_baselines(TRAIN, VALIDATION, CHOSEN_ON)
    }
    scoring = Scoring(TEST, TASKS, 20, lambda: VALIDATION)
    alone, fitted = (
        scoring.measure(*pairs[f"predictive classifier{added} PLDA"]) for added in ("", " + logistic regression")
    )
    raw = scoring.measure(NEAREST_MEANS["nearest_class_mean"], RAW)
    assert alone.accuracy.mean() > raw.accuracy.mean() + 0.05
    assert fitted.hyperparameter == "scale" and fitted.accuracy.mean() > raw.accuracy.mean() + 0.05
    assert not np.array_equal(alone.accuracy, fitted.accuracy)
