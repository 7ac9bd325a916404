"""The transforms: their arithmetic in NumPy, the layers in TensorFlow, and that runs and exports have them."""

import numpy as np
import pytest
import tensorflow as tf

import leo_tf
from leo_tf import LEO, EmbeddingTable, EpisodeSampler, InputError, LEOConfig, ProtoLEO, ProtoLEOConfig, RunConfig
from leo_tf.classification.proto_leo_init import InitializationData
from leo_tf.config import DataConfig, EpisodeConfig, TrainingConfig
from leo_tf.evaluation import fingerprint
from leo_tf.export.signatures import Signatures
from leo_tf.transforms import fit_plda, principal_scatter, unit_length, whitening
from leo_tf.transforms.layer import FixedTransform, LearnedPlda

DIM, CLASSES, ROWS = 6, 5, 30


def table_of(seed, classes=CLASSES):
    rng = np.random.default_rng(seed)
    scatter = rng.normal(size=(DIM, DIM))
    rows = rng.normal(size=(classes, 1, DIM)) + 0.3 * rng.normal(size=(classes, ROWS, DIM)) @ scatter
    return EmbeddingTable.from_arrays(rows.reshape(-1, DIM), np.repeat(np.arange(classes), ROWS), source="arrays")


def write_splits(folder, seeds=(0, 1, 2)):
    for split, seed in zip(("train", "val", "test"), seeds, strict=True):
        table = table_of(seed)
        labels = np.repeat([f"{split}{n}" for n in range(CLASSES)], ROWS)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"{split}.npz", embeddings=table.embeddings, labels=labels)


def scatter_of(table):
    return principal_scatter(table.embeddings, table.class_sizes)


def test_whitening_against_numpy():
    table = table_of(0)
    rows = np.asarray(table.embeddings, np.float64).reshape(CLASSES, ROWS, DIM)
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    means = rows.mean(axis=1)
    covariance = np.cov((rows - means[:, np.newaxis]).reshape(-1, DIM), rowvar=False, ddof=0) * (CLASSES * ROWS)
    covariance /= CLASSES * (ROWS - 1)
    mean, matrix = whitening(scatter_of(table), 0.3)
    np.testing.assert_allclose(mean, means.mean(axis=0), atol=1e-12)
    shrunk = covariance + 0.3 * np.trace(covariance) / DIM * np.eye(DIM)
    np.testing.assert_allclose(matrix @ shrunk @ matrix, np.eye(DIM), atol=1e-9)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)


def test_rows_of_zeros_stay_zero():
    assert np.array_equal(unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]])


def test_classes_of_one_embedding_are_refused():
    with pytest.raises(InputError, match="No meta-training class has two different embeddings"):
        scatter_of(EmbeddingTable.from_arrays(np.eye(3), ["a", "b", "c"]))


def test_layers_equal_numpy():
    table = table_of(1)
    fitted = whitening(scatter_of(table_of(0)))
    np.testing.assert_allclose(FixedTransform(fitted)(table.embeddings), fitted.apply(table.embeddings), atol=1e-6)
    layer = LearnedPlda(DIM)
    layer.set_fitted(fit_plda(scatter_of(table_of(0)), 0.3).shrunk(0.3))
    layer.correction.assign(np.random.default_rng(0).normal(size=(DIM, DIM)))
    rows = layer.fitted.apply(table.embeddings)
    np.testing.assert_allclose(layer(table.embeddings), rows, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)


@pytest.fixture(scope="module", params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["PLDA", "codes"])
def model(request):
    model = ProtoLEO(LEOConfig(num_latents=4), ProtoLEOConfig(0.3, 0.3, 5.0, latent_codes=request.param), DIM, seed=0)
    model.initialize(InitializationData(table_of(0), None, 3, "all"))
    return model


def test_adapt_classify_call_and_exports_take_raw_embeddings(model, tmp_path):
    """All ways from raw embeddings to probabilities agree with working on features."""
    episode = EpisodeSampler(table_of(2), 3, 2, 4).sample(seed=0, first_task=0, num_tasks=2)
    support, query = (model.features(part) for part in (episode.support_x, episode.query_x))
    logits = model.logits(
        tf.reshape(query, [2, 12, model.feature_dim]), model.adapt_in_evaluation(support, episode.support_y)
    )
    classifier = model.adapt(episode.support_x, episode.support_y)
    np.testing.assert_allclose(model.classify(tf.reshape(episode.query_x, [2, 12, DIM]), classifier), logits, atol=1e-4)
    np.testing.assert_allclose(model(episode), logits, atol=1e-4)
    np.testing.assert_allclose(
        model.meta_loss(episode, training=False).query_loss,
        model.meta_loss_on_features(model.episode_features(episode), training=False).query_loss,
        rtol=1e-5,
    )
    raw = [tf.reshape(3.0 * part, [2, -1, DIM]) for part in (episode.support_x, episode.query_x)]
    labels = tf.reshape(episode.support_y, [2, -1])
    served = Signatures(model, normalize=True).serve(raw[0], labels, raw[1])
    np.testing.assert_allclose(served["probabilities"], tf.nn.softmax(logits), atol=1e-4)
    saved = tf.saved_model.load(str(leo_tf.export.export(model, tmp_path)))
    answer = saved.signatures["serving_default"](support_x=raw[0], support_y=labels, query_x=raw[1])
    np.testing.assert_allclose(answer["probabilities"], served["probabilities"], atol=1e-5)
    for source in (str(tmp_path), model):
        fitted = leo_tf.FewShotClassifier(source).fit(raw[0][0].numpy(), labels[0].numpy())
        np.testing.assert_allclose(fitted.predict_proba(raw[1][0].numpy()), served["probabilities"][0], atol=1e-4)


def run(folder, data_path, steps=2):
    config = RunConfig(
        LEOConfig(),
        DataConfig(data_path=str(data_path), dataset_name="own"),
        EpisodeConfig(3, 2, 3, metatrain_shots="1-2"),
        TrainingConfig(num_steps_limit=steps, metavalid_tasks=4, metavalid_queries=5, checkpoint_steps=1, jit="off"),
        proto_leo=ProtoLEOConfig(0.3, 0.3, 5.0),
        algorithm="proto_leo",
    )
    leo_tf.Trainer(leo_tf.MetaTraining(config), folder).run()
    return leo_tf.load(folder)


@pytest.mark.long
def test_a_run_is_fitted_to_training_classes_alone_and_resumes_exactly(tmp_path):
    write_splits(tmp_path / "a" / "own")
    write_splits(tmp_path / "b" / "own", seeds=(0, 3, 4))  # other validation and test classes
    first, second = (run(tmp_path / f"run{name}", tmp_path / name) for name in "ab")
    plda = fit_plda(scatter_of(EmbeddingTable.load(str(tmp_path / "a"), "own", "train")), 0.3).shrunk(0.3)
    for model in (first, second):
        np.testing.assert_array_equal(model.plda.axes.numpy(), plda.axes.astype(np.float32))
        assert np.abs(model.plda.correction.numpy()).max() > 0
    # A resumed run, whose steps draw tasks of different shapes, equals an uninterrupted one.
    run(tmp_path / "short", tmp_path / "a", steps=3)
    resumed, whole = (run(tmp_path / name, tmp_path / "a", steps=6) for name in ("short", "long"))
    assert fingerprint(resumed) == fingerprint(whole)


def test_evaluation_takes_raw_embeddings():
    table, model = table_of(2), ProtoLEO(LEOConfig(), ProtoLEOConfig(0.3, 0.3, 5.0), DIM, seed=0)
    result = leo_tf.evaluate(model, table, ways=3, shots=2, queries=5, num_tasks=20)
    assert result.baseline_names.tolist() == ["nearest class mean", "nearest class mean, cosine"]
    assert LEO(LEOConfig(num_latents=4), DIM).feature_table(table) is table
