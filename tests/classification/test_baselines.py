"""Baselines beside a model: which, how strengths are chosen, and that training classes alone are fitted to."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, EmbeddingTable, EpisodeSampler, InputError, LEOConfig
from leo_tf.classification.baselines import (
    FITTED,
    NEAREST_MEANS,
    RAW,
    Scoring,
    TrainingClasses,
    choice,
    nearest_class_mean_by_cosine,
    planned,
    plda_of,
    requested,
    ridge,
    whitened_by,
)
from leo_tf.classification.evaluator import Evaluator
from leo_tf.classification.metrics import LinearClassifier, Scores
from leo_tf.classification.prototype_init import PLDA, choose_start
from leo_tf.classification.tasks import draw_tasks
from leo_tf.transforms import fit_transform, transformed

DIM = 8


def table_of(seed, classes=9, rows=24, source="arrays"):
    rng = np.random.default_rng(seed)
    scatter = np.diag(np.linspace(0.2, 2.5, DIM))
    embeddings = rng.normal(size=(classes, 1, DIM)) + rng.normal(size=(classes, rows, DIM)) @ scatter
    return EmbeddingTable.from_arrays(embeddings.reshape(-1, DIM), np.repeat(np.arange(classes), rows), source=source)


TRAIN, VALIDATION, TEST = (table_of(seed) for seed in (0, 1, 2))
TASKS = draw_tasks(TEST, 3, 2, 6, num_tasks=20)


def test_by_cosine_the_angle_decides():
    """Means of different lengths, so that leaving out their scaling would show."""
    rng = np.random.default_rng(2)
    support = rng.normal(size=(3, 4, 5, 6)) * rng.uniform(0.2, 3, size=(3, 4, 1, 1))
    queries = rng.normal(size=(3, 50, 6))
    classifier = nearest_class_mean_by_cosine(tf.constant(support))
    means = support.mean(axis=2)
    lengths = np.linalg.norm(queries, axis=-1)[:, :, None], np.linalg.norm(means, axis=-1)[:, None]
    cosines = np.einsum("tqd,twd->tqw", queries, means) / lengths[0] / lengths[1]
    logits = np.einsum("tqd,twd->tqw", queries, classifier.weights)
    np.testing.assert_array_equal(logits.argmax(axis=-1), cosines.argmax(axis=-1))
    assert np.any(np.einsum("tqd,twd->tqw", queries, means).argmax(axis=-1) != cosines.argmax(axis=-1))


@pytest.fixture
def accuracy_of(monkeypatch):
    """A function that puts in place of the evaluation a function of the strength; returns the strengths tried."""

    def install(accuracy):
        def run_on(self, tasks):
            strength = float(self._make_classifier(None, None).weights)
            return Scores(np.full(len(tasks), accuracy(strength)), None)

        monkeypatch.setattr(choice.Evaluator, "run_on", run_on)
        return choice.choose(lambda x, y, strength: LinearClassifier(strength), (0.1, 1.0, 10.0), TEST, TASKS)

    return install


def test_the_best_strength_is_chosen_and_of_equal_ones_the_first(accuracy_of):
    found = accuracy_of(lambda strength: {1.0: 0.75}.get(strength, 0.5))
    assert found == (1.0, {0.1: 0.5, 1.0: 0.75, 10.0: 0.5})
    assert accuracy_of(lambda strength: 0.5 if strength < 1 else 0.8).strength == 1.0


@pytest.mark.parametrize(
    "accuracy,strength,number",
    [
        (lambda s: np.exp(-np.abs(np.log10(s) - 3)), 1e3, 6),  # 100, 1000, 10000 after 10
        (lambda s: np.exp(-np.abs(np.log10(s) + 3)), 1e-3, 6),
        (lambda s: 0.5 + np.log10(s) / 100, 1e5, 7),  # for ever: four more
        (lambda s: 0.5 + np.log10(s) / 1e5, 100.0, 4),  # not worth going on after the first
    ],
)
def test_at_an_edge_it_looks_further(accuracy_of, accuracy, strength, number):
    found = accuracy_of(accuracy)
    assert found.strength == pytest.approx(strength, rel=1e-9) and len(found.accuracies) == number


def test_a_strength_really_reaches_the_classifier():
    tasks = draw_tasks(VALIDATION, 3, 2, 6, num_tasks=10)
    found = choice.choose(ridge, (1e3, 1e-3), VALIDATION, tasks)
    for penalty in (1e3, 1e-3):
        sampler = EpisodeSampler(VALIDATION, 3, 2, 6)
        alone = Evaluator(lambda x, y, penalty=penalty: ridge(x, y, penalty), sampler, 10).run_on(tasks)
        assert found.accuracies[penalty] == pytest.approx(float(alone.accuracy.mean()), rel=1e-6)
    assert found.accuracies[1e3] != found.accuracies[1e-3]


def test_validation_tasks_have_the_ways_that_there_are():
    tasks = choice.validation_tasks(table_of(3, classes=4), 5, 2)
    assert (tasks.ways, tasks.shots, len(tasks)) == (4, 2, 200)
    with pytest.raises(InputError, match=r"one has 1 class; expected at least 2.*leave out baselines"):
        choice.validation_tasks(table_of(3, classes=1, source="one"), 5, 2)


def test_a_baseline_is_scored_in_its_space_and_once(monkeypatch):
    scoring = Scoring(TEST, TASKS, 7, lambda: VALIDATION)
    space = whitened_by(TRAIN)
    found = scoring.measure(FITTED["ridge"], space)
    assert found.title == "ridge, whitened" and found.strength == "penalty"
    moved = [transformed(table, *fit_transform(TRAIN, "whiten")) for table in (VALIDATION, TEST)]
    chosen = choice.choose(ridge, FITTED["ridge"].strengths, moved[0], choice.validation_tasks(VALIDATION, 3, 2))
    assert found.choice == chosen
    sampler = EpisodeSampler(moved[1], 3, 2, 6)
    expected = Evaluator(lambda x, y: ridge(x, y, chosen.strength), sampler, 20).run_on(TASKS)
    np.testing.assert_allclose(found.accuracy, expected.accuracy, rtol=1e-6)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5)
    summary = found.summary()
    assert summary["penalty"] == chosen.strength and len(summary["validation_accuracy"]) == len(chosen.accuracies)
    monkeypatch.setattr(Evaluator, "run_on", lambda *_: pytest.fail("scored again"))
    assert scoring.measure(FITTED["ridge"], whitened_by(TRAIN)) is found


def test_what_stands_beside_a_model():
    def titles(model, names=(), training=None):
        return [f"{kind.title} {space.adjective}".strip() for kind, space in planned(model, names, training)]

    means = [kind.title for kind in NEAREST_MEANS.values()]
    plain, own = LEO(LEOConfig(num_latents=2), DIM), LEO(LEOConfig(num_latents=2, feature_transform="center"), DIM)
    training = TrainingClasses(TRAIN.digest, [lambda: TRAIN])
    assert titles(plain) == means
    assert titles(plain, (), training) == [*means, *(f"{name} whitened" for name in means)]
    assert titles(own, requested(["lda", "ridge"]), training) == [
        *(*means, *(f"{name} centred" for name in means)),
        *("ridge", "ridge centred", "LDA"),
    ]
    space = plda_of(TRAIN, VALIDATION, 3, 2)
    found = [(kind.title, each.adjective) for kind, each in planned(own, ["plda"], training, lambda: space)]
    assert found[4:] == [(name, "PLDA") for name in means] and len(found) == 6
    assert len(list(planned(plain, ["plda"], training, lambda: None))) == 4
    has_it = LEO(LEOConfig(num_latents=2, feature_transform="plda"), DIM)
    assert len(list(planned(has_it, ["plda"], training, lambda: pytest.fail("its own is the same")))) == 4
    assert requested(["all"]) == requested(["plda", "lda", "ridge", "logistic_regression"])
    with pytest.raises(InputError, match=r"Got baselines=svm; expected all, or some of logistic_regression, ridge, l"):
        requested(["ridge", "svm"])


def test_only_the_recorded_training_classes_are_fitted_to(caplog):
    def missing():
        raise InputError("No file.")

    found = TrainingClasses(TRAIN.digest, [missing, lambda: TEST, lambda: TRAIN])
    expected = fit_transform(TRAIN, "whiten")
    np.testing.assert_array_equal(found.whitened.mean, expected[0])
    np.testing.assert_array_equal(found.whitened.matrix, expected[1])
    assert found.lda is not None and not caplog.records
    for digest, loads, reason in (
        (TRAIN.digest, [missing], "No file."),
        (TRAIN.digest, [lambda: TEST], f"sha256 {TEST.digest[:12]}..., the run was trained on {TRAIN.digest[:12]}"),
        (None, [lambda: TRAIN], "did not record"),
    ):
        caplog.clear()
        found = TrainingClasses(digest, loads)
        assert found.whitened is None and found.lda is None
        assert [reason in record.message and "\n" not in record.message for record in caplog.records] == [True]
    caplog.clear()
    one_each = EmbeddingTable.from_arrays(np.eye(3), ["a", "b", "c"])
    assert TrainingClasses(one_each.digest, [lambda: one_each]).whitened is None
    assert "no two different embeddings of one class" in caplog.text


def test_other_validation_and_test_classes_change_no_space_and_no_covariance():
    """Scores of the same task are the same, whatever other classes its table holds."""
    training = TrainingClasses(TRAIN.digest, [lambda: TRAIN])
    model = SimpleNamespace(feature_transform=None)
    more = EmbeddingTable.from_arrays(
        np.concatenate([TEST.embeddings, 5 + np.random.default_rng(9).normal(size=(48, DIM))]),
        np.repeat(np.arange(11), 24),
    )
    more_validation = EmbeddingTable.from_arrays(VALIDATION.embeddings[:96], np.repeat(np.arange(4), 24))
    tasks = SimpleNamespace(**{n: getattr(TASKS, n) for n in ("class_ids", "support_rows", "query_rows", "queries")})
    same = type(TASKS)(**vars(tasks), data_digest=more.digest)
    first, second = Scoring(TEST, TASKS, 20, lambda: VALIDATION), Scoring(more, same, 20, lambda: more_validation)
    for kind, space in planned(model, ["lda"], training):
        pinned = kind if not kind.strengths else type(kind)(kind.title, lambda x, y, _, fit=kind.fit: fit(x, y, 0.3))
        np.testing.assert_array_equal(first.measure(pinned, space).accuracy, second.measure(pinned, space).accuracy)
        assert space is RAW or space.digest == whitened_by(TRAIN).digest


def test_plda_is_fitted_to_training_classes_and_chosen_on_validation_classes():
    space = plda_of(TRAIN, VALIDATION, 3, 2)
    start = choose_start(PLDA, TRAIN, VALIDATION, 3, 2)
    expected = fit_transform(TRAIN, "plda", start.shrinkage, start.between, 2)
    np.testing.assert_array_equal(space.matrix, expected[1])
    classes = TrainingClasses(TRAIN.digest, [lambda: TRAIN])
    assert classes.plda(VALIDATION, 3, 2).digest == space.digest
    assert TrainingClasses("other", [lambda: TRAIN]).plda(VALIDATION, 3, 2) is None
