"""The unknown class: the same probabilities from FewShotClassifier and from the SavedModel, and its labels."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy import special
from sklearn.base import clone
from test_proto_leo_export import DIM, LABELS, WAYS, proto_run, task  # noqa: F401

import leo_tf
from leo_tf import LEO, FewShotClassifier, ImageFewShotClassifier, InputError
from leo_tf.export import export, read_description
from leo_tf.export.image_model import export_fitted

CALIBRATION = {
    **{"step": 1200, "shots": [1, 4], "temperatures": [0.5, 2.0]},  # at 2 shots 1
    **{"unknown_temperatures": [2.0, 8.0], "unknown_thresholds": [1.0, 0.0]},  # 4, 0.5
}


@pytest.fixture(scope="module")
def run(proto_run, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("calibrated") / "run"
    shutil.copytree(proto_run, folder)
    (folder / "calibration.json").write_text(json.dumps(CALIBRATION))
    return folder


@pytest.fixture(scope="module")
def version(run, tmp_path_factory):
    return export(run, tmp_path_factory.mktemp("versions"), calibrated=True)


@pytest.fixture(scope="module")
def expected(run, task):  # noqa: F811
    """Probabilities [queries, ways + 1] from the learner and NumPy, at 2 shots on average."""
    support, queries = (part / np.linalg.norm(part, axis=-1, keepdims=True) for part in task)
    learner = leo_tf.load(run)
    classifier = learner.adapt_imbalanced(support[None], LABELS[None])
    of_shown = special.softmax(learner.classify(queries[None], classifier)[0], axis=1)
    rows = learner.log_ratios(learner.features(support[None]), LABELS[None], WAYS)[0].numpy()
    features = learner.features(queries).numpy()
    ratios = np.concatenate([features, features[:, :-1] ** 2], axis=1) @ rows.T
    odds = special.logsumexp(ratios / 4, axis=1) - np.log(WAYS) - 0.5
    unknown = special.expit(-odds)
    assert unknown.max() - unknown.min() > 0.1
    return np.column_stack([of_shown * (1 - unknown[:, None]), unknown])


@pytest.mark.parametrize("source", ["run", "saved model"])
def test_few_shot_classifier(run, version, task, expected, source):  # noqa: F811
    classifier = FewShotClassifier(str(run if source == "run" else version), unknown_class=True)
    classifier.fit(task[0], LABELS)
    found = classifier.predict_proba(task[1])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert classifier.classes_.tolist() == [0, 1, 2, -1]
    np.testing.assert_array_equal(classifier.predict(task[1]), classifier.classes_[found.argmax(axis=1)])
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(task[1]), found)
    without = clone(classifier).set_params(unknown_class=False, calibrated=True).fit(task[0], LABELS)
    shown = expected[:, :-1] / expected[:, :-1].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(without.predict_proba(task[1]), shown, atol=1e-5)


def test_sample_weight(run, task):  # noqa: F811
    """In class means, in PLDA's trust in them, in the fit, in the temperature and in the unknown class."""
    X, y = task[0], LABELS
    counts = np.array([1, 3, 2, 2, 4, 1])
    weighted, repeated = (FewShotClassifier(str(run), unknown_class=True) for _ in range(2))
    weighted.fit(X, y, sample_weight=counts)
    repeated.fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    expected = repeated.predict_proba(task[1])
    np.testing.assert_allclose(weighted.predict_proba(task[1]), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected - repeated.fit(X, y).predict_proba(task[1])).max() > 1e-2


def test_saved_model(version, task, expected):  # noqa: F811
    support = {"support_x": tf.constant(task[0][None]), "support_y": tf.constant(LABELS[None])}
    query, signatures = tf.constant(task[1][None]), tf.saved_model.load(str(version)).signatures
    answer = signatures["serving_default"](**support, query_x=query)
    halves = signatures["predict"](classifier=signatures["adapt"](**support)["classifier"], query_x=query)
    for each in (answer, halves):
        np.testing.assert_allclose(each["unknown"][0], expected[:, -1], atol=1e-5)
        shown = each["probabilities"][0] * (1 - each["unknown"][0][:, None])
        np.testing.assert_allclose(shown, expected[:, :-1], atol=1e-5)
    description = read_description(version)
    assert description["classifier_dim"] == answer["classifier"].shape[-1] == 3 * DIM + 2
    assert "unknown" in description["signatures"] and "unknown" in description["signatures"]["predict"]


def test_labels(run, task):  # noqa: F811
    X, y = task[0], LABELS
    for names, label in ((np.array(["a", "b", "c"]), "unknown"), (np.array(["a", "b", "c"], object), "unknown")):
        classifier = FewShotClassifier(str(run), unknown_class=True).fit(X, names[y])
        assert classifier.classes_.tolist() == ["a", "b", "c", label]
    for names, reason in (
        (np.array(["a", "b", "unknown"]), r"examples of class 'unknown' with unknown_class=True.*Rename the class"),
        (np.array([-1, 0, 1]), r"examples of class -1 with unknown_class=True"),
        (np.array([True, False, True]), r"labels of type bool with unknown_class=True; expected text or numbers"),
    ):
        with pytest.raises(InputError, match=reason):
            FewShotClassifier(str(run), unknown_class=True).fit(X, names[y])


def test_models_without_an_unknown_class_are_refused(run, proto_run, make_run, task, tmp_path):  # noqa: F811
    X, y = task[0], LABELS
    known = tmp_path / "known"
    shutil.copytree(run, known)
    empty = {"unknown_temperatures": [], "unknown_thresholds": []}
    (known / "calibration.json").write_text(json.dumps(CALIBRATION | empty))
    of_leo, no_class = (
        make_run(),
        r"which has no unknown class; expected a ProtoLEO .* calibrated.*leave unknown_class out",
    )
    for model, reason in (
        (LEO(embedding_dim=DIM, seed=0), no_class),
        (str(of_leo), no_class),
        (str(known), no_class),
        (str(export(known, tmp_path / "versions", calibrated=True)), no_class),
        (str(proto_run), r"is not calibrated; run python evaluate\.py"),
        (leo_tf.load(run), r"which is not calibrated; expected the folder"),
    ):
        with pytest.raises(InputError, match=reason):
            FewShotClassifier(model, unknown_class=True).fit(X, y)


@pytest.mark.long
def test_images(image_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(image_run, folder)
    step = int(next((folder / "best").glob("*.index")).stem.rpartition("-")[2])
    (folder / "calibration.json").write_text(json.dumps(CALIBRATION | {"step": step}))
    files = sorted((image_run.parent / "images" / "test").glob("*/*.png"))
    support, labels = files[::3], [file.parent.name for file in files[::3]]
    classifier = ImageFewShotClassifier(folder, unknown_class=True).fit(support, labels)
    expected = classifier.predict_proba(files[1::3])
    assert classifier.classes_[-1] == "unknown" and expected.shape[1] == len(set(labels)) + 1
    classifier.save(tmp_path / "saved")
    loaded = ImageFewShotClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.predict_proba(files[1::3]), expected)
    assert loaded.classes_.tolist() == classifier.classes_.tolist()
    served = tf.saved_model.load(str(export_fitted(loaded, tmp_path / "served")))
    contents = tf.constant([file.read_bytes() for file in files[1::3]])
    answer = served.signatures["serving_default"](images=contents)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert answer["classes"][0, -1].numpy() == b"unknown"
    command = [sys.executable, "-m", "leo_tf.predict", f"--model={folder}", f"--support={files[0].parents[1]}"]
    command += ["--unknown_class", "--json", str(files[1])]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)[0]["probabilities"]) == classifier.classes_.tolist()
