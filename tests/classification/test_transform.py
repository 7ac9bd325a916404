"""The embedding transform: its arithmetic, what it is fitted to, and that runs and served models have it."""

import numpy as np
import pytest
import tensorflow as tf

import leo_tf
from leo_tf import LEO, EmbeddingTable, EpisodeSampler, InputError, LEOConfig, RunConfig
from leo_tf.config import DataConfig, EpisodeConfig, TrainingConfig
from leo_tf.transforms import apply_transform, fit_transform, transformed
from leo_tf.evaluation import fingerprint
from leo_tf.export.signatures import Signatures

DIM, CLASSES, ROWS = 6, 5, 30


def table_of(seed, classes=CLASSES, source="arrays"):
    rng = np.random.default_rng(seed)
    scatter = rng.normal(size=(DIM, DIM))
    rows = rng.normal(size=(classes, 1, DIM)) + 0.3 * rng.normal(size=(classes, ROWS, DIM)) @ scatter
    return EmbeddingTable.from_arrays(rows.reshape(-1, DIM), np.repeat(np.arange(classes), ROWS), source=source)


def write_splits(folder, seeds=(0, 1, 2)):
    for split, seed in zip(("train", "val", "test"), seeds, strict=True):
        table = table_of(seed)
        labels = np.repeat([f"{split}{n}" for n in range(CLASSES)], ROWS)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"{split}.npz", embeddings=table.embeddings, labels=labels)


def test_whitening_against_numpy():
    table = table_of(0)
    rows = np.asarray(table.embeddings, np.float64).reshape(CLASSES, ROWS, DIM)
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    means = rows.mean(axis=1)
    covariance = np.cov((rows - means[:, np.newaxis]).reshape(-1, DIM), rowvar=False, ddof=0) * (CLASSES * ROWS)
    covariance /= CLASSES * (ROWS - 1)
    mean, matrix = fit_transform(table, "whiten", shrinkage=0.3)
    np.testing.assert_allclose(mean, means.mean(axis=0), atol=1e-12)
    shrunk = covariance + 0.3 * np.trace(covariance) / DIM * np.eye(DIM)
    np.testing.assert_allclose(matrix @ shrunk @ matrix, np.eye(DIM), atol=1e-9)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)


def test_centring_and_mistakes():
    table = table_of(0)
    mean, matrix = fit_transform(table, "center")
    assert np.array_equal(matrix, np.eye(DIM))
    found = transformed(table, mean, matrix)
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, rtol=1e-6)
    assert found.digest == table.digest
    with pytest.raises(InputError, match=r"Got transform 'zca'; expected center, whiten or plda"):
        fit_transform(table, "zca")
    with pytest.raises(InputError, match=r"no two different embeddings of one class.*feature_transform=center"):
        fit_transform(EmbeddingTable.from_arrays(np.eye(3), ["a", "b", "c"]), "whiten")
    with pytest.raises(InputError, match=r"feature_transform='whiten' was given; expected none with problem=regr"):
        RunConfig(LEOConfig(feature_transform="whiten", dropout_rate=0.0), problem="regression")


PLAIN = LEOConfig(num_latents=4, feature_transform="whiten")
WITH_BIAS = LEOConfig(num_latents=4, feature_transform="plda", prototype_residual=True, prototype_bias=1)


@pytest.fixture(scope="module", params=[PLAIN, WITH_BIAS], ids=["whiten", "plda with bias"])
def model(request):
    model = LEO(request.param, DIM, seed=0)
    model.fit_transform(table_of(0))
    return model


def test_table_and_tensor_are_transformed_alike(model):
    table = table_of(1)
    np.testing.assert_allclose(model.transform(table.embeddings), model.transform_table(table).embeddings, atol=1e-6)
    plain = LEO(LEOConfig(num_latents=4), DIM)
    assert plain.transform_table(table) is table
    assert len(model.meta_variables) - len(model.scales) == len(plain.meta_variables) == 7
    assert plain.fixed_variables == []


def test_fingerprint_knows_the_transform(model):
    before = fingerprint(model)
    mean = model.feature_transform.mean.numpy()
    model.feature_transform.mean.assign(mean + 1)
    assert fingerprint(model) != before
    model.feature_transform.mean.assign(mean)
    assert fingerprint(model) == before


def test_served_and_fitted_on_raw_embeddings(model, tmp_path):
    """The SavedModel's functions and FewShotClassifier take raw embeddings and answer as the model."""
    table = table_of(2)
    episode = EpisodeSampler(table, 3, 2, 4).sample(seed=0, first_task=0, num_tasks=2)
    moved = [model.transform(part) for part in (episode.support_x, episode.query_x)]
    classifier = model.adapt(moved[0], episode.support_y)
    logits = model.classify(tf.reshape(moved[1], [2, 12, model.feature_dim]), classifier)
    raw = [tf.reshape(3.0 * part, [2, -1, DIM]) for part in (episode.support_x, episode.query_x)]
    labels = tf.reshape(episode.support_y, [2, -1])
    served = Signatures(model, normalize=True).serve(raw[0], labels, raw[1])
    np.testing.assert_allclose(served["probabilities"], tf.nn.softmax(logits), atol=1e-5)
    saved = tf.saved_model.load(str(leo_tf.export.export(model, tmp_path)))
    answer = saved.signatures["serving_default"](support_x=raw[0], support_y=labels, query_x=raw[1])
    np.testing.assert_allclose(answer["probabilities"], served["probabilities"], atol=1e-6)
    with pytest.raises(InputError, match=r"transforms embeddings, which FewShotClassifier takes from a run only"):
        leo_tf.FewShotClassifier(str(tmp_path)).fit(raw[0][0].numpy(), labels[0].numpy())
    fitted = leo_tf.FewShotClassifier(model).fit(raw[0][0].numpy(), labels[0].numpy())
    np.testing.assert_allclose(fitted.predict_proba(raw[1][0].numpy()), served["probabilities"][0], atol=1e-5)


def run(folder, data_path, steps=2):
    config = RunConfig(
        LEOConfig(1, 1, num_latents=4, feature_transform="whiten", prototype_residual=True),
        DataConfig(data_path=str(data_path), dataset_name="own"),
        EpisodeConfig(3, 2, 3),
        TrainingConfig(num_steps_limit=steps, metavalid_tasks=4, metavalid_queries=5, checkpoint_steps=1, jit="off"),
    )
    leo_tf.Trainer(leo_tf.MetaTraining(config), folder).run()
    return leo_tf.load(folder)


def test_a_run_keeps_its_transform_and_only_training_classes_make_it(tmp_path):
    write_splits(tmp_path / "a" / "own")
    write_splits(tmp_path / "b" / "own", seeds=(0, 3, 4))  # other validation and test classes
    first, second = (run(tmp_path / f"run{name}", tmp_path / name) for name in "ab")
    train = EmbeddingTable.load(str(tmp_path / "a"), "own", "train")
    expected = fit_transform(train, "whiten")
    for model in (first, second):
        for variable, value in zip(model.fixed_variables, expected, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value.astype(np.float32))
    # Continued is the same as uninterrupted.
    run(tmp_path / "short", tmp_path / "a", steps=1)
    assert fingerprint(run(tmp_path / "short", tmp_path / "a")) == fingerprint(run(tmp_path / "long", tmp_path / "a"))


def test_evaluation_transforms_and_shows_both_nearest_means():
    table, model = table_of(2), LEO(PLAIN, DIM, seed=0)
    model.fit_transform(table_of(0))
    result = leo_tf.evaluate(model, table, ways=3, shots=2, queries=5, num_tasks=20)
    moved = transformed(table, *(variable.numpy() for variable in model.fixed_variables))
    plain = LEO(LEOConfig(num_latents=4), DIM)
    for variable, value in zip(plain.meta_variables, model.meta_variables, strict=True):
        variable.assign(value)
    expected = leo_tf.evaluate(plain, moved, ways=3, shots=2, queries=5, num_tasks=20)
    np.testing.assert_allclose(result.task_accuracy, expected.task_accuracy)
    names = ["nearest class mean", "nearest class mean, cosine"]
    assert result.baseline_names.tolist() == [*names, *(f"{name}, whitened" for name in names)]
    np.testing.assert_allclose(result.task_baselines[2:], expected.task_baselines)
    assert "nearest class mean, whitened" in str(result) and "whitened" not in str(expected)
    assert apply_transform(table.embeddings[:2], *(v.numpy() for v in model.fixed_variables)).dtype == np.float32
