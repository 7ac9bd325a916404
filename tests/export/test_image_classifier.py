"""ImageFewShotClassifier gives the numbers of extractor and model for any kind of image, also after `save`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import special

from leo_tf import FewShotClassifier, ImageFewShotClassifier, InputError
from leo_tf.export.image_model import export_fitted

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(image_run):
    """Support and query files of three classes never trained on, and their labels."""
    folder = image_run.parent / "images" / "test"
    support = [folder / name / f"{n}.png" for name in ("c09", "c10", "c11") for n in range(2)]
    query = [folder / name / f"{n}.png" for name in ("c09", "c10", "c11") for n in range(2, 6)]
    return support, [path.parent.name for path in support], query


@pytest.fixture(scope="module")
def classifier(image_run, files):
    return ImageFewShotClassifier.load(image_run).fit(*files[:2])


def test_equals_few_shot_classifier_on_extracted_embeddings(image_run, classifier, files):
    support, labels, query = files
    with np.load(image_run.parent / "data" / "bars" / "test.npz") as arrays:
        rows = dict(zip(arrays["paths"], arrays["embeddings"], strict=True))

    def embeddings(paths):
        return np.stack([rows[path.relative_to(path.parents[2]).as_posix()] for path in paths])

    of_embeddings = FewShotClassifier(str(image_run)).fit(embeddings(support), labels)
    expected = of_embeddings.predict_proba(embeddings(query))
    np.testing.assert_allclose(classifier.predict_proba(query), expected, atol=1e-5)
    assert classifier.predict(query).tolist() == classifier.classes_[expected.argmax(axis=1)].tolist()
    assert classifier.predict(query[0]).shape == (1,)


def test_one_image_per_class(image_run, files):
    support, labels, query = files
    one = ImageFewShotClassifier.load(image_run).fit(support[::2], labels[::2])
    found = one.predict_proba(query)
    assert found.shape == (12, 3) and np.allclose(found.sum(axis=1), 1)
    assert np.mean(one.predict(query) == [path.parent.name for path in query]) > 0.5


def test_paths_arrays_and_pil_images_are_equivalent(classifier, files):
    query = files[2]
    expected = classifier.predict_proba(query)
    arrays = [np.asarray(Image.open(path)) for path in query]
    for images in (arrays, np.stack(arrays), [Image.open(path) for path in query], [str(path) for path in query]):
        np.testing.assert_allclose(classifier.predict_proba(images), expected, atol=1e-6)


UNNEEDED = (
    *("sklearn", "matplotlib", "scipy.stats", "tensorflow_probability", "pandas", "tensorboard", "tqdm.auto"),
    *("leo_tf.training", "leo_tf.classification", "leo_tf.regression", "leo_tf.learners", "leo_tf.features.pretrain"),
    *("leo_tf.features.wrn", "leo_tf.analysis"),
)
SCRIPT = """
import runpy, sys
sys.argv = ["leo_tf.predict", *sys.argv[1:]]
try:
    runpy.run_module("leo_tf.predict", run_name="__main__")
except SystemExit as stopped:
    assert not stopped.code, stopped.code
print("imported", *sys.modules)
"""


@pytest.mark.long
def test_a_saved_classifier_predicts_elsewhere(classifier, files, tmp_path):
    """And imports no more than it needs: the prediction itself is half a second of a process of five."""
    saved = tmp_path / "served"
    classifier.save(saved)
    again = ImageFewShotClassifier.load(saved)
    np.testing.assert_allclose(again.predict_proba(files[2]), classifier.predict_proba(files[2]), atol=1e-6)
    again.fit(files[0], files[1])  # and can be fitted to others
    with pytest.raises(InputError, match="exists; expected a new or an empty folder"):
        classifier.save(saved)
    command = [sys.executable, "-c", SCRIPT, f"--model={saved}", "--json", *map(str, files[2][:3])]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    printed, imported = done.stdout.rsplit("imported ", 1)
    assert "leo_tf.features.extractor" in imported.split() and not set(UNNEEDED) & set(imported.split())
    answers = json.loads(printed)
    found = np.array([[answer["probabilities"][name] for name in classifier.classes_] for answer in answers])
    np.testing.assert_allclose(found, classifier.predict_proba(files[2][:3]), atol=1e-5)
    assert [answer["label"] for answer in answers] == classifier.predict(files[2][:3]).tolist()


def test_embeds_in_batches(classifier, files, monkeypatch):
    expected, sizes = classifier.predict_proba(files[2]), []
    embed = type(classifier.extractor).__call__
    monkeypatch.setattr("leo_tf.export.image_classifier._BATCH", 5)
    monkeypatch.setattr(
        type(classifier.extractor), "__call__", lambda self, some: sizes.append(len(some)) or embed(self, some)
    )
    np.testing.assert_allclose(classifier.predict_proba(files[2]), expected, atol=1e-6)
    assert sizes == [5, 5, 2] and classifier.embed([]).shape == (0, classifier.extractor.dim)


def test_calibrated_probabilities(image_run, classifier, files):
    step = int(next((image_run / "best").glob("*.index")).stem.rpartition("-")[2])
    note = image_run / "calibration.json"
    note.write_text(json.dumps({"step": step, "shots": [1], "temperatures": [0.5]}))
    try:
        sharper = ImageFewShotClassifier.load(image_run, calibrated=True).fit(*files[:2])
        expected = special.softmax(2 * np.log(classifier.predict_proba(files[2])), axis=1)
        np.testing.assert_allclose(sharper.predict_proba(files[2]), expected, rtol=1e-3, atol=1e-5)
    finally:
        note.unlink()


def test_refuses_invalid_input(image_run, make_run, classifier, files, tmp_path):
    with pytest.raises(InputError, match="has no feature extractor"):
        ImageFewShotClassifier(make_run())
    unfitted = ImageFewShotClassifier.load(image_run)
    with pytest.raises(InputError, match="is not fitted"):
        unfitted.predict(files[2])
    with pytest.raises(InputError, match="expected one label per image"):
        unfitted.fit(files[0], files[1][:2])
    with pytest.raises(InputError, match="examples of 1 class; expected at least two"):
        unfitted.fit(files[0][:2], ["a", "a"])
    with pytest.raises(InputError, match="is not a folder"):
        unfitted.fit_folder(tmp_path / "nowhere")
    (tmp_path / "bad.jpg").write_bytes(b"no")
    for path, reason in {"bad.jpg": "it is not an image", "none.jpg": "No such file"}.items():
        with pytest.raises(InputError, match=rf"{path} cannot be read: {reason}"):
            classifier.predict([files[2][0], tmp_path / path])
    with pytest.raises(InputError, match=r"image 0 cannot be read: an array of int64"):
        classifier.predict([np.zeros((3, 3), np.int64)])


def test_fits_with_the_extractor_that_is_there_now(image_run, files, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(image_run, run)
    support, labels, query = files
    classifier = ImageFewShotClassifier.load(run).fit(support, labels)
    before, old = classifier.embed(query), classifier.extractor
    kernel = old.model.get_layer("stem").kernel
    kernel.assign(-kernel)
    (run / "extractor" / "extractor.keras").unlink()
    old.save(run / "extractor", json.loads((run / "extractor" / "extractor.json").read_text()))
    kernel.assign(-kernel)
    np.testing.assert_array_equal(classifier.embed(query), before)  # what it is fitted with, it keeps
    classifier.fit(support, labels)
    fresh = ImageFewShotClassifier.load(run).fit(support, labels)
    assert np.abs(fresh.embed(query) - before).max() > 1e-3
    np.testing.assert_array_equal(classifier.predict_proba(query), fresh.predict_proba(query))


@pytest.mark.parametrize("policy", ["mixed_float16", pytest.param("float64", marks=pytest.mark.long)])
def test_a_global_policy_changes_nothing(image_run, classifier, files, tmp_path, policy):
    support, labels, query = files
    expected, before = classifier.predict_proba(query), keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        again = ImageFewShotClassifier.load(image_run).fit(support, labels)
        found = again.predict_proba(query)
        served = tf.saved_model.load(str(export_fitted(again, tmp_path)))
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_array_equal(found, expected)
    images = tf.constant([path.read_bytes() for path in query])
    answer = served.signatures["serving_default"](images=images)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
