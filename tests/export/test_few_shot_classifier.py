"""FewShotClassifier gives the numbers of LEO, takes any labels and passes scikit-learn's own checks."""

import functools
import json
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import joblib
import keras
import numpy as np
import pytest
import tensorflow as tf
from saved_runs import save_run
from scipy import special
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_param_validation, estimator_checks_generator

import leo_tf
from leo_tf import LEO, FewShotClassifier, InputError, LEOConfig, RunConfig
from leo_tf.classification.maml import MAML
from leo_tf.evaluation import fingerprint
from leo_tf.export import adapter, export
from leo_tf.export.__main__ import report
from leo_tf.runs.run_dir import RunDirectory

TINY = LEOConfig(num_latents=4, inner_unroll_length=1, finetuning_unroll_length=1)
MOST_FEATURES = 30  # of the data of scikit-learn's checks


class Padded(FewShotClassifier):
    """Classifier of a run for scikit-learn's checks, whose data are padded with zeros to the run's dimensions."""

    def _adapter(self):
        adapter, dim = super()._adapter(), self.n_features_in_

        def padded(adapt, support_x, **others):
            support_x = tf.pad(support_x, [[0, 0], [0, 0], [0, MOST_FEATURES - dim]])
            return {"classifier": adapt(support_x=support_x, **others)["classifier"][..., :dim]}

        both = (functools.partial(padded, adapt) for adapt in (adapter.adapt, adapter.adapt_weighted))
        return adapter._replace(embedding_dim=dim, **dict(zip(("adapt", "adapt_weighted"), both, strict=True)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # untrained
        return tags


CHECKS = [
    *(check for _, check in estimator_checks_generator(Padded("run"))),
    functools.partial(check_param_validation, "Padded"),
]


@pytest.fixture(scope="module")
def narrow_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return str(save_run(folder, RunConfig(TINY), {"embedding_dim": MOST_FEATURES}).path)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.func.__name__)
def test_scikit_learns_own_checks(narrow_run, check, monkeypatch):
    if "sample_weight_equivalence" in check.func.__name__:  # whose tolerance, 1e-7, is below float32's precision
        loose = functools.partial(estimator_checks.assert_allclose_dense_sparse, rtol=1e-5)
        monkeypatch.setattr(estimator_checks, "assert_allclose_dense_sparse", loose)
    check(Padded(narrow_run))


@pytest.fixture(scope="module")
def model():
    model = LEO(TINY, 8, seed=4)
    model.finetuning_learning_rate.assign(np.full(8, 0.3))
    return model


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.array(["owl", "cat", "owl", "dog", "dog", "owl", "cat", "dog", "cat"])
    centres = {name: rng.normal(size=8) for name in ("cat", "dog", "owl")}
    return np.stack([centres[name] + 0.1 * rng.normal(size=8) for name in y]), y


@pytest.fixture(scope="module")
def run_of_unit_length(make_run):
    return make_run(normalize_embeddings=True)


@pytest.fixture(scope="module")
def data16():
    """Embeddings of the run's 16 dimensions, three of each class."""
    rng = np.random.default_rng(5)
    y = np.array(["cat", "dog", "owl"] * 3)
    centres = {name: rng.normal(size=16) for name in ("cat", "dog", "owl")}
    return np.stack([centres[name] + 0.5 * rng.normal(size=16) for name in y]).astype(np.float32), y


def test_equals_leo(model, data):
    X, y = data
    classifier = FewShotClassifier(model).fit(X, y)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    by_class = np.stack([unit[y == name] for name in ("cat", "dog", "owl")])[None]
    expected = model.adapt(by_class, np.broadcast_to(np.arange(3)[:, None], (1, 3, 3)))
    np.testing.assert_allclose(classifier.classifier_.weights, expected[0], rtol=1e-5, atol=1e-6)
    logits = model.classify(unit[None], expected)[0]
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[np.argmax(logits, axis=1)])
    np.testing.assert_allclose(
        classifier.predict_proba(X), np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-5
    )
    assert classifier.classes_.tolist() == ["cat", "dog", "owl"]
    assert classifier.n_features_in_ == 8


def test_decision_function_and_log_probabilities(model, data):
    X, y = data
    classifier = FewShotClassifier(model).fit(X, y)
    logits = (X / np.linalg.norm(X, axis=1, keepdims=True)) @ classifier.classifier_.weights.T
    np.testing.assert_allclose(classifier.decision_function(X), logits, atol=1e-5)
    expected = logits - special.logsumexp(logits, axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_log_proba(X), expected, atol=1e-5)
    of_two = classifier.fit(X, y == "cat").predict_log_proba(X)
    np.testing.assert_allclose(classifier.decision_function(X), of_two[:, 1] - of_two[:, 0], atol=1e-5)


def test_partial_fit_equals_fit_on_all(model, data):
    """Of more examples of known classes, then of a new class, with weights."""
    X, y = data
    weight = np.array([1, 2, 1, 1, 0, 1, 3, 1, 1])
    order = np.argsort(y == "owl", kind="stable")  # at first there are no owls
    classifier = FewShotClassifier(model)
    for part, classes in ((order[:4], None), (order[4:6], ["cat", "dog"]), (order[6:], None)):
        classifier.partial_fit(X[part], y[part], classes, sample_weight=weight[part])
        so_far = order[: np.flatnonzero(order == part[-1])[0] + 1]
        whole = FewShotClassifier(model).fit(X[so_far], y[so_far], weight[so_far])
        np.testing.assert_array_equal(classifier.predict_proba(X), whole.predict_proba(X))
    assert classifier.classes_.tolist() == ["cat", "dog", "owl"]
    assert len(classifier.support_.X) == 8  # the weight of one is 0


def test_a_refused_partial_fit_changes_nothing(model, data):
    X, y = data
    with pytest.raises(InputError, match="examples of 1 class"):
        FewShotClassifier(model).partial_fit(X[y == "cat"], y[y == "cat"])
    classifier = FewShotClassifier(model).partial_fit(X, y)
    expected = classifier.predict_proba(X)
    for more, labels, message in (
        (X, np.arange(9), "Mix of label input types"),
        (X[:, :5], y, "X has 5 features, but FewShotClassifier is expecting 8"),
    ):
        with pytest.raises(ValueError, match=message):
            classifier.partial_fit(more, labels)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected)
    assert len(classifier.support_.X) == 9


def test_takes_unequal_classes_and_numbers_as_labels(model, data):
    X, y = data
    for labels in (np.array([7, -3, 7, 7, 7, 7, 7, -3, 7]), y != "cat", (y == "cat").astype("float64")):
        classifier = FewShotClassifier(model).fit(X, labels)
        assert set(classifier.predict(X)) <= set(labels)
        assert classifier.predict_proba(X).shape == (9, 2)


@pytest.mark.parametrize("source", ["versions", "version"])
def test_from_a_saved_model_equals_the_model(model, data, tmp_path, source):
    version = export(model, tmp_path)
    loaded = FewShotClassifier.load(tmp_path if source == "versions" else version).fit(*data)
    expected = FewShotClassifier(model).fit(*data).predict_proba(data[0])
    np.testing.assert_allclose(loaded.predict_proba(data[0]), expected, atol=1e-6)
    for copy in (clone(loaded).fit(*data), pickle.loads(pickle.dumps(loaded))):
        np.testing.assert_array_equal(copy.predict_proba(data[0]), loaded.predict_proba(data[0]))
    loaded.partial_fit(*data, sample_weight=np.ones(9))
    with pytest.raises(InputError, match="sample_weight was given with a SavedModel"):
        loaded.fit(*data, sample_weight=np.arange(1, 10))


def test_with_a_learner_it_can_be_cloned_and_cross_validated(model, data):
    copy = clone(FewShotClassifier(model)).fit(*data)
    np.testing.assert_allclose(copy.predict_proba(data[0]), FewShotClassifier(model).fit(*data).predict_proba(data[0]))
    assert cross_val_score(FewShotClassifier(model), *data, cv=3).shape == (3,)


def test_refuses_another_dim_and_an_empty_folder(model, data, tmp_path):
    with pytest.raises(InputError, match="embeddings of 5 dimensions; the model expects 8"):
        FewShotClassifier(model).fit(data[0][:, :5], data[1])
    with pytest.raises(InputError, match="Neither a run nor a SavedModel"):
        leo_tf.FewShotClassifier.load(tmp_path)


def test_notices_that_the_learner_was_trained(data):
    model = LEO(TINY, 8, seed=4)
    before = FewShotClassifier(model).fit(*data).classifier_.weights
    model.decoder.kernel.assign(2 * model.decoder.kernel)
    after = FewShotClassifier(model).fit(*data).classifier_.weights
    np.testing.assert_array_equal(after, FewShotClassifier(clone_of(model)).fit(*data).classifier_.weights)
    assert np.abs(after - before).max() > 1e-3


def clone_of(model):
    copy = LEO(model.config, model.embedding_dim)
    copy.set_weights(model.get_weights())
    return copy


def test_refuses_maml(data):
    with pytest.raises(InputError, match=r"Got a model of MAML .*; expected LEO or ProtoLEO"):
        FewShotClassifier(MAML(embedding_dim=8, ways=3)).fit(*data)


@pytest.mark.long
def test_sixteen_threads_load_a_saved_model_once(saved_model, data, monkeypatch):
    """Once, each of them loaded a copy."""
    adapter._of_saved_model.cache_clear()
    loads, load = [], tf.saved_model.load
    monkeypatch.setattr(tf.saved_model, "load", lambda path: loads.append(path) or load(path))
    rows = np.random.default_rng(0).normal(size=(6, 16))
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(
                lambda _: FewShotClassifier(str(saved_model)).fit(rows, [0, 0, 1, 1, 2, 2]).predict(rows), range(16)
            )
        )
    assert len(loads) == 1
    assert all(np.array_equal(answer, answers[0]) for answer in answers)


def test_a_failed_load_can_be_repeated(saved_model, monkeypatch):
    adapter._of_saved_model.cache_clear()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="once"):
        patch.setattr(tf.saved_model, "load", lambda path: (_ for _ in ()).throw(OSError("once")))
        FewShotClassifier.load(saved_model)
    FewShotClassifier.load(saved_model)


def test_a_fitted_classifier_predicts_without_its_run_and_tensorflow(run_of_unit_length, data16, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run_of_unit_length, folder)
    X, y = data16
    classifier = FewShotClassifier(str(folder)).fit(X, y)
    joblib.dump(classifier, tmp_path / "classifier.joblib")
    np.save(tmp_path / "X.npy", X)
    shutil.rmtree(folder)
    code = (
        "import joblib, numpy, sys\n"
        "found = joblib.load('classifier.joblib').predict_proba(numpy.load('X.npy'))\n"
        "numpy.save('found.npy', found)\n"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), classifier.predict_proba(X))
    assert done.stdout.strip() == "False"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict(X), classifier.predict(X))


def test_calibrated_probabilities(make_run, data16, tmp_path, caplog):
    """By default where the run has a calibration of these weights."""
    path = make_run()
    X, y = data16
    with pytest.raises(InputError, match=r"best checkpoint of .*, of step 1200, is not calibrated; run .* --calibrate"):
        FewShotClassifier(str(path), calibrated=True).fit(X, y)
    calibration = {"step": 1200, "shots": [1, 9], "temperatures": [0.125, 0.5]}  # at 3 shots between them, 0.25
    (path / "calibration.json").write_text(json.dumps(calibration))
    plain, calibrated = (FewShotClassifier(str(path), calibrated=each).fit(X, y) for each in (False, True))
    expected = special.softmax(4 * np.log(plain.predict_proba(X)), axis=1)
    np.testing.assert_allclose(calibrated.predict_proba(X), expected, rtol=1e-4)
    version = export(path, tmp_path / "calibrated")
    assert "\n  probabilities: calibrated, temperature 0.125, 0.500 at 1, 9 shots\n" in report(version)
    served = FewShotClassifier(str(version)).fit(X, y)
    np.testing.assert_allclose(served.predict_proba(X), expected, rtol=1e-4)
    loaded = tf.saved_model.load(str(version))
    answer = loaded.signatures["predict"](classifier=served.classifier_.weights[None], query_x=X[None])
    np.testing.assert_allclose(answer["probabilities"][0], expected, rtol=1e-4)
    few = FewShotClassifier(str(path)).fit(X[:3], y[:3])
    plain = FewShotClassifier(str(path), calibrated=False).fit(X[:3], y[:3])
    np.testing.assert_allclose(few.classifier_.weights, 8 * plain.classifier_.weights, rtol=1e-4)
    (path / "calibration.json").write_text(json.dumps({**calibration, "step": 1000}))
    with pytest.raises(InputError, match="is not calibrated"):
        export(path, tmp_path / "calibrated", calibrated=True)
    again = FewShotClassifier(str(path)).fit(X[:3], y[:3])
    np.testing.assert_array_equal(again.classifier_.weights, plain.classifier_.weights)
    assert "of step 1200, is not calibrated" in caplog.text


def test_refuses_calibrated_with_a_learner(model, data, tmp_path):
    with pytest.raises(
        InputError, match=r"calibrated=True was given with .*, which is not calibrated; expected the folder"
    ):
        FewShotClassifier(model, calibrated=True).fit(*data)
    with pytest.raises(
        InputError, match=r"calibrated=True was given with .*, which is not calibrated; expected the folder"
    ):
        FewShotClassifier(str(export(model, tmp_path)), calibrated=True).fit(*data)
    with pytest.raises(InputError, match="calibrated=True was given with a model; expected the folder of a run"):
        export(model, tmp_path, calibrated=True)


def test_refuses_a_single_class(model, data):
    X, y = data
    with pytest.raises(
        InputError,
        match=r"examples of 1 class; expected at least two.*Add labelled examples of another class",
    ):
        FewShotClassifier(model).fit(X[y == "cat"], y[y == "cat"])


def other_model():
    model = LEO(TINY, 8, seed=5)
    model.finetuning_learning_rate.assign(np.full(8, 0.1))
    return model


def write_checkpoint(path, model):
    accuracy, step = tf.Variable(0.75, dtype=tf.float64), tf.Variable(1200, dtype=tf.int64)
    tf.train.Checkpoint(model=model, best_accuracy=accuracy, best_step=step).write(str(path / "best" / "ckpt-1200"))


@pytest.fixture
def small_run(model, tmp_path):
    """The folder of a run whose best checkpoint is `model`."""
    folder = RunDirectory(tmp_path / "run")
    folder.claim(leo_tf.RunConfig(model=TINY), {"embedding_dim": 8})
    write_checkpoint(folder.path, model)
    return folder.path


def test_notices_that_a_run_was_trained_again(small_run, model, data):
    X, y = data
    expected = [FewShotClassifier(each).fit(X, y).predict_proba(X) for each in (model, other_model())]
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    np.testing.assert_allclose(FewShotClassifier(str(small_run)).fit(X, y).predict_proba(X), expected[0], atol=1e-6)
    shutil.rmtree(small_run / "best")
    write_checkpoint(small_run, other_model())
    np.testing.assert_allclose(FewShotClassifier(str(small_run)).fit(X, y).predict_proba(X), expected[1], atol=1e-6)


def test_notices_that_a_saved_model_was_exported_again(model, data, tmp_path):
    X, y = data
    for each in (model, other_model()):
        shutil.rmtree(tmp_path / "served", ignore_errors=True)
        version = export(each, tmp_path / "served")
        found = FewShotClassifier(str(version)).fit(X, y).predict_proba(X)
        np.testing.assert_allclose(found, FewShotClassifier(each).fit(X, y).predict_proba(X), atol=1e-6)


def test_a_calibration_of_other_weights_does_not_count(small_run, model, data):
    record = {"step": 1200, "shots": [1], "temperatures": [0.5], "model_fingerprint": fingerprint(model)}
    (small_run / "calibration.json").write_text(json.dumps(record))
    X, y = data
    plain, calibrated = (FewShotClassifier(str(small_run), calibrated=each).fit(X, y) for each in (False, True))
    np.testing.assert_allclose(calibrated.classifier_.weights, 2 * plain.classifier_.weights, rtol=1e-5)
    (small_run / "calibration.json").write_text(json.dumps(record | {"temperatures": [0.25]}))
    again = FewShotClassifier(str(small_run), calibrated=True).fit(X, y)
    np.testing.assert_allclose(again.classifier_.weights, 4 * plain.classifier_.weights, rtol=1e-5)
    write_checkpoint(small_run, other_model())  # of the same step
    with pytest.raises(InputError, match=r"best checkpoint of .*, of step 1200, is not calibrated"):
        calibrated.fit(X, y)
    with pytest.raises(InputError, match=r"best checkpoint of .*, of step 1200, is not calibrated"):
        export(small_run, small_run / "served", calibrated=True)


@pytest.mark.parametrize(
    "policy", ["mixed_float16", *(pytest.param(each, marks=pytest.mark.long) for each in ("float64", "bfloat16"))]
)
def test_a_global_policy_changes_no_run(small_run, data, policy):
    X, y = data
    expected = FewShotClassifier(str(small_run)).fit(X, y).predict_proba(X)
    adapter._of_run.cache_clear()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        found = FewShotClassifier(str(small_run)).fit(X, y).predict_proba(X)
        assert leo_tf.load(small_run).adapt(X[None, :2, None], [[[0], [1]]]).dtype == tf.float32
        served = FewShotClassifier(str(export(small_run, small_run / "served"))).fit(X, y).predict_proba(X)
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(served, expected, atol=1e-6)
