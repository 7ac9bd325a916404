"""The transforms: their arithmetic in NumPy, the layer in TensorFlow, and that runs and exports have them."""

import numpy as np
import pytest
import tensorflow as tf

import leo_tf
from leo_tf import LEO, EmbeddingTable, EpisodeSampler, InputError, LEOConfig, ProtoLEO, ProtoLEOConfig, RunConfig
from leo_tf.classification.prototype_init import InitializationData
from leo_tf.config import DataConfig, EpisodeConfig, TrainingConfig
from leo_tf.evaluation import fingerprint
from leo_tf.export.signatures import Signatures
from leo_tf.transforms import fit_transform, unit_length

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


def fit(kind, table, *options):
    return fit_transform(kind, table.embeddings, table.class_sizes, *options)


def test_whitening_against_numpy():
    table = table_of(0)
    rows = np.asarray(table.embeddings, np.float64).reshape(CLASSES, ROWS, DIM)
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    means = rows.mean(axis=1)
    covariance = np.cov((rows - means[:, np.newaxis]).reshape(-1, DIM), rowvar=False, ddof=0) * (CLASSES * ROWS)
    covariance /= CLASSES * (ROWS - 1)
    mean, matrix = fit("whiten", table, 0.3)
    np.testing.assert_allclose(mean, means.mean(axis=0), atol=1e-12)
    shrunk = covariance + 0.3 * np.trace(covariance) / DIM * np.eye(DIM)
    np.testing.assert_allclose(matrix @ shrunk @ matrix, np.eye(DIM), atol=1e-9)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)


def test_none_and_center():
    table = table_of(0)
    np.testing.assert_allclose(fit("none", table).apply(3 * table.embeddings), table.embeddings, atol=1e-6)
    centered = fit("center", table)
    assert np.array_equal(centered.matrix, np.eye(DIM))
    rows = centered.apply(table.embeddings)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)


def test_rows_of_zeros_stay_zero():
    assert np.array_equal(unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]])


def test_errors_name_the_kinds_and_the_setting():
    with pytest.raises(InputError, match=r"Got transform 'zca'; expected one of none, center, whiten, plda"):
        fit("zca", table_of(0))
    with pytest.raises(InputError, match=r"has two different embeddings.*feature_transform=center") as error:
        fit("whiten", EmbeddingTable.from_arrays(np.eye(3), ["a", "b", "c"]))
    assert error.value.settings == ("feature_transform",)


def make_model(kind="whiten", bias=0.0, fitted_to=0):
    settings = {"within_class_shrinkage": 0.3, "between_class_shrinkage": 0.3, "prototype_scale": 10}
    proto = ProtoLEOConfig(
        feature_transform=kind, prototype_bias=bias, support_temperature=1, query_dropout="all",
        warmup_steps=0, **settings,
    )  # fmt: skip
    model = ProtoLEO(LEOConfig(num_latents=4), proto, DIM, seed=0)
    model.initialize(InitializationData(table_of(fitted_to), None, 3, 1, "all"))
    return model


@pytest.fixture(scope="module", params=["whiten", "plda with bias"])
def model(request):
    return make_model("plda", 1.0) if request.param == "plda with bias" else make_model()


def test_layer_equals_numpy(model):
    table = table_of(1)
    np.testing.assert_allclose(model.features(table.embeddings), model.feature_table(table).embeddings, atol=1e-6)
    assert model.feature_table(table).digest == table.digest
    plain = LEO(LEOConfig(num_latents=4), DIM)
    assert plain.feature_table(table) is table
    assert len(model.meta_variables) - len(model.scales) == len(plain.meta_variables) == 7
    assert plain.fixed_variables == []


def test_fingerprint_depends_on_the_transform(model):
    before = fingerprint(model)
    mean = model.feature_transform.mean.numpy()
    model.feature_transform.mean.assign(mean + 1)
    assert fingerprint(model) != before
    model.feature_transform.mean.assign(mean)
    assert fingerprint(model) == before


def test_adapt_classify_call_and_exports_take_raw_embeddings(model, tmp_path):
    """All ways from raw embeddings to probabilities agree with working on features."""
    episode = EpisodeSampler(table_of(2), 3, 2, 4).sample(seed=0, first_task=0, num_tasks=2)
    support, query = (model.features(part) for part in (episode.support_x, episode.query_x))
    logits = model.logits(
        tf.reshape(query, [2, 12, model.feature_dim]), model.adapt_in_evaluation(support, episode.support_y)
    )
    classifier = model.adapt(episode.support_x, episode.support_y)
    np.testing.assert_allclose(model.classify(tf.reshape(episode.query_x, [2, 12, DIM]), classifier), logits, atol=1e-5)
    np.testing.assert_allclose(model(episode), logits, atol=1e-5)
    np.testing.assert_allclose(
        model.meta_loss(episode, training=False).query_loss,
        model.meta_loss_on_features(model.episode_features(episode), training=False).query_loss,
    )
    raw = [tf.reshape(3.0 * part, [2, -1, DIM]) for part in (episode.support_x, episode.query_x)]
    labels = tf.reshape(episode.support_y, [2, -1])
    served = Signatures(model, normalize=True).serve(raw[0], labels, raw[1])
    np.testing.assert_allclose(served["probabilities"], tf.nn.softmax(logits), atol=1e-5)
    saved = tf.saved_model.load(str(leo_tf.export.export(model, tmp_path)))
    answer = saved.signatures["serving_default"](support_x=raw[0], support_y=labels, query_x=raw[1])
    np.testing.assert_allclose(answer["probabilities"], served["probabilities"], atol=1e-6)
    for source in (str(tmp_path), model):
        fitted = leo_tf.FewShotClassifier(source).fit(raw[0][0].numpy(), labels[0].numpy())
        np.testing.assert_allclose(fitted.predict_proba(raw[1][0].numpy()), served["probabilities"][0], atol=1e-5)


def run(folder, data_path, steps=2):
    proto = ProtoLEOConfig(
        feature_transform="whiten", within_class_shrinkage=0.3, prototype_scale=10, support_temperature=1,
        query_dropout="all", warmup_steps=0,
    )  # fmt: skip
    config = RunConfig(
        LEOConfig(1, 1, num_latents=4),
        DataConfig(data_path=str(data_path), dataset_name="own"),
        EpisodeConfig(3, 2, 3),
        TrainingConfig(num_steps_limit=steps, metavalid_tasks=4, metavalid_queries=5, checkpoint_steps=1, jit="off"),
        proto_leo=proto,
        algorithm="proto_leo",
    )
    leo_tf.Trainer(leo_tf.MetaTraining(config), folder).run()
    return leo_tf.load(folder)


@pytest.mark.long
def test_a_run_keeps_its_transform_which_is_fitted_to_training_classes_alone(tmp_path):
    write_splits(tmp_path / "a" / "own")
    write_splits(tmp_path / "b" / "own", seeds=(0, 3, 4))  # other validation and test classes
    first, second = (run(tmp_path / f"run{name}", tmp_path / name) for name in "ab")
    train = EmbeddingTable.load(str(tmp_path / "a"), "own", "train")
    for model in (first, second):
        for variable, value in zip(model.fixed_variables, fit("whiten", train), strict=False):
            np.testing.assert_array_equal(variable.numpy(), value.astype(np.float32))
    # A resumed run equals an uninterrupted one.
    run(tmp_path / "short", tmp_path / "a", steps=1)
    assert fingerprint(run(tmp_path / "short", tmp_path / "a")) == fingerprint(run(tmp_path / "long", tmp_path / "a"))


def test_evaluation_takes_raw_embeddings_and_shows_nearest_means_in_both_spaces():
    table, model = table_of(2), make_model()
    result = leo_tf.evaluate(model, table, ways=3, shots=2, queries=5, num_tasks=20)
    names = ["nearest class mean", "nearest class mean, cosine"]
    assert result.baseline_names.tolist() == [*names, *(f"{name}, whitened" for name in names)]
    plain = LEO(LEOConfig(num_latents=4), DIM)
    features = leo_tf.evaluate(plain, model.feature_table(table), ways=3, shots=2, queries=5, num_tasks=20)
    np.testing.assert_allclose(result.task_baselines[2:], features.task_baselines)
    episode = EpisodeSampler(table, 3, 2, 5).sample(seed=0, first_task=0, num_tasks=2)
    outcome = model.meta_loss(episode, training=False)
    assert outcome.accuracy.shape == (2,)
