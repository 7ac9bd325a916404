"""The benchmark's baseline computes what LEO computes, its cases do the work they say, its times are right."""

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, EmbeddingTable, EpisodeSampler, LEOConfig
from leo_tf.benchmark import cases, timing
from leo_tf.benchmark.plain import PlainLEO, PlainPipeline
from leo_tf.classification import Evaluator


@pytest.fixture(scope="module")
def table():
    rows = np.random.default_rng(2).normal(size=(60, 16))
    return EmbeddingTable.from_arrays(rows, np.repeat(np.arange(6), 10))


@pytest.mark.parametrize("shots", [1, 3])
def test_plain_formulation_equals_ours_in_value_and_meta_gradient(table, shots):
    model = LEO(LEOConfig(2, 2, num_latents=4, orthogonality_penalty_weight=0.3), embedding_dim=16, seed=3)
    episode = EpisodeSampler(table, 3, shots, 4).sample(0, 0, 2)

    @tf.function
    def both():
        results = []
        for compute in (
            lambda: PlainLEO(model).meta_loss(episode, training=False),
            lambda: model.meta_loss(episode, training=False)[0:3:2],
        ):
            with tf.GradientTape() as tape:
                loss, accuracy = compute()
            results.append((loss, accuracy, tape.gradient(loss, model.meta_variables)))
        return results

    plain, ours = both()
    np.testing.assert_allclose(plain[0], ours[0], rtol=1e-6)
    np.testing.assert_allclose(plain[1], ours[1], rtol=1e-6)
    for expected, got in zip(plain[2], ours[2], strict=True):
        np.testing.assert_allclose(expected, got, rtol=1e-3, atol=1e-6)


def test_plain_pipeline_gives_tasks_of_distinct_classes_and_rows(table):
    episode, names = next(iter(PlainPipeline(table, ways=4, shots=2, queries=3).episodes(5)))
    rows = {row.tobytes(): index // 10 for index, row in enumerate(np.round(table.embeddings, 4))}
    together = np.concatenate([episode.support_x, episode.query_x], axis=2)
    classes = [[{rows[np.round(x, 4).tobytes()] for x in way} for way in task] for task in together]
    assert all(len(way) == 1 for task in classes for way in task)
    assert all(len(set().union(*task)) == 4 for task in classes)
    assert len(np.unique(together[0].reshape(-1, 16), axis=0)) == 4 * 5
    assert names.shape == (5, 4, 5)
    assert episode.query_y.numpy()[0].tolist() == [[way] * 3 for way in range(4)]


def test_ratio_is_taken_round_by_round():
    assert timing.ratio([10, 40, 90], [1, 2, 3]) == 20
    assert timing.summarize([3, 1, 2]) == (2, 1, 3)


SETTING = cases.Setting(
    train_classes=3, test_classes=3, rows=8, ways=2, shots=1, queries=2, meta_batch=2, latent_steps=1
)


def test_a_unit_of_evaluation_is_a_batch_of_tasks_drawn_before(small_model, monkeypatch):
    table, scored = cases.synthetic_table(SETTING.test_classes, SETTING.rows), []
    run_on = Evaluator.run_on
    monkeypatch.setattr(Evaluator, "run_on", lambda self, tasks: scored.append(tasks) or run_on(self, tasks))
    case = cases.evaluation(SETTING, table, batch_size=2)
    monkeypatch.setattr(EpisodeSampler, "rows", None)  # nothing is drawn any more
    case.run(3)
    assert [len(tasks) for tasks in scored] == [2] * (1 + 3)  # the first unit, then three
    assert scored[0].queries == SETTING.rows - SETTING.shots


def test_plain_training_updates_the_model(small_model, monkeypatch):
    models, model_of = [], cases.model_of
    monkeypatch.setattr(cases, "model_of", lambda setting: models.append(model_of(setting)) or models[-1])
    table = cases.synthetic_table(SETTING.train_classes, SETTING.rows)
    untrained = [variable.numpy() for variable in model_of(SETTING).meta_variables]
    cases.plain_training(SETTING, table)  # takes its first step
    trained = [variable.numpy() for variable in models[0].meta_variables]
    assert all(np.any(before != after) for before, after in zip(untrained, trained, strict=True))
