"""All ways to use a ProtoLEO run give the same answers: leo_tf.load, FewShotClassifier, the SavedModel."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

import leo_tf
from leo_tf import FewShotClassifier, InputError, LEOConfig, RunConfig
from leo_tf.classification.proto_leo import ProtoLEO
from leo_tf.config import ProtoLEOConfig
from leo_tf.export import export, read_description
from leo_tf.problem import Initialization
from leo_tf.runs.run_dir import RunDirectory
from leo_tf.transforms import Plda

CHOSEN = Initialization({"within_class_shrinkage": 0.1, "fit_scale_1_shot": 7.0}, {"accuracy": 0.5})
MODEL = LEOConfig(num_latents=8, inner_unroll_length=2, finetuning_unroll_length=2)
DIM, WAYS, QUERIES = 16, 3, 5
LABELS = np.repeat(np.arange(WAYS, dtype=np.int32), [1, 2, 3])  # unequal shots, 2 on average


def proto_leo(latent_codes):
    """Return a ProtoLEO in which PLDA, its correction, the fit and the decoder all matter."""
    rng = np.random.default_rng(3)
    model = ProtoLEO(MODEL, ProtoLEOConfig(latent_codes=latent_codes), DIM, seed=2)
    model.plda.set_fitted(Plda(0.2 * rng.normal(size=DIM), rng.normal(size=(DIM, DIM)), rng.uniform(0.1, 2, size=DIM)))
    model.plda.correction.assign(rng.normal(size=(DIM, DIM)))
    model.log_scale.assign(np.log(7.0))
    model.fit_log_scales.assign(np.log([9.0, 5.0, 2.0]))
    if latent_codes:
        model.decoder.kernel.assign(0.3 * rng.normal(size=model.decoder.kernel.shape))
    return model


@pytest.fixture(scope="module", params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["PLDA", "codes"])
def proto_run(request, tmp_path_factory):
    """The folder of a run whose best checkpoint is a ProtoLEO."""
    folder, model = RunDirectory(tmp_path_factory.mktemp("run")), proto_leo(request.param)
    config = RunConfig(MODEL, proto_leo=model.proto_config, algorithm="proto_leo")
    folder.claim(config, {"embedding_dim": DIM, "train_digest": "a", "validation_digest": "b"}, CHOSEN)
    accuracy, step = tf.Variable(0.75, dtype=tf.float64), tf.Variable(1200, dtype=tf.int64)
    tf.train.Checkpoint(model=model, best_accuracy=accuracy, best_step=step).write(str(folder.best / "ckpt-1200"))
    return folder.path


@pytest.fixture(scope="module")
def version(proto_run, tmp_path_factory):
    return export(proto_run, tmp_path_factory.mktemp("versions"))


@pytest.fixture(scope="module")
def task():
    """Support [examples, dim] with LABELS, and queries [queries, dim], not normalised."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(WAYS, DIM))
    support = centres[LABELS] + 0.5 * rng.normal(size=(len(LABELS), DIM))
    return support.astype(np.float32), rng.normal(size=(QUERIES, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(proto_run, task):
    """Probabilities [queries, ways] by `adapt_imbalanced` and `classify`, on embeddings of unit length."""
    support, queries = (part / np.linalg.norm(part, axis=-1, keepdims=True) for part in task)
    learner = leo_tf.load(proto_run)
    logits = learner.classify(queries[None], learner.adapt_imbalanced(support[None], LABELS[None]))[0]
    return special.softmax(logits, axis=1)


@pytest.mark.parametrize("source", ["run", "saved model", "learner"])
def test_few_shot_classifier(proto_run, version, task, expected, source):
    model = {"run": str(proto_run), "saved model": str(version), "learner": leo_tf.load(proto_run)}[source]
    classifier = FewShotClassifier(model).fit(task[0], LABELS)
    np.testing.assert_allclose(classifier.predict_proba(task[1]), expected, atol=1e-5)


def test_saved_model(version, task, expected):
    loaded = tf.saved_model.load(str(version))
    support = {"support_x": tf.constant(task[0][None]), "support_y": tf.constant(LABELS[None])}
    answer = loaded.signatures["serving_default"](**support, query_x=tf.constant(task[1][None]))
    np.testing.assert_allclose(answer["probabilities"][0], expected, atol=1e-5)
    classifier = loaded.signatures["adapt"](**support)["classifier"]
    halves = loaded.signatures["predict"](classifier=classifier, query_x=tf.constant(task[1][None]))
    np.testing.assert_allclose(halves["probabilities"][0], expected, atol=1e-5)


def test_the_transform_matters(proto_run, task, expected):
    learner = leo_tf.load(proto_run)
    learner.plda.set_fitted(Plda(np.zeros(DIM), np.eye(DIM), np.ones(DIM)))
    other = FewShotClassifier(learner).fit(task[0], LABELS).predict_proba(task[1])
    assert np.abs(other - expected).max() > 0.01


def test_the_description_has_the_settings_and_the_chosen_values(version):
    description = read_description(version)
    assert description["initialization"] == CHOSEN.record()
    assert description["algorithm"] == "ProtoLEO" and description["model"]["fit_scale"] == "auto"
    assert description["classifier_dim"] == DIM + 1 and description["has_transform"] is True
    json.dumps(description)


@pytest.mark.long
def test_a_missing_transform_is_refused(proto_run, tmp_path):
    version = export(proto_run, tmp_path)
    (version / "assets.extra" / "transform.npz").unlink()
    with pytest.raises(InputError, match=r"Cannot read .*transform\.npz .*; expected the transform"):
        FewShotClassifier.load(version)


@pytest.mark.long
def test_warmup_requests_have_the_classifiers_dim(version):
    path = Path(__file__).parents[2] / "examples" / "serving" / "write_warmup.py"
    specification = importlib.util.spec_from_file_location("write_warmup", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    description, loaded = read_description(version), tf.saved_model.load(str(version))
    for request in module.requests(description["embedding_dim"], description["classifier_dim"], 3, 2, 4):
        inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
        assert loaded.signatures[request.model_spec.signature_name](**inputs)
