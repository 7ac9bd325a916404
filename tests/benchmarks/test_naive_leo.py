"""The naive formulation of the speed benchmark computes what LEO computes."""

import numpy as np
import pytest
import tensorflow as tf
from naive_leo import NaiveLEO, NaivePipeline

from leo_tf import LEO, EmbeddingTable, EpisodeSampler, LEOConfig

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def table():
    rows = np.random.default_rng(2).normal(size=(60, 16))
    return EmbeddingTable.from_arrays(rows, np.repeat(np.arange(6), 10))


@pytest.mark.parametrize("shots", [1, 3])
def test_naive_loss_and_meta_gradient_equal_ours(table, shots):
    model = LEO(LEOConfig(2, 2, num_latents=4, orthogonality_penalty_weight=0.3), embedding_dim=16, seed=3)
    episode = EpisodeSampler(table, 3, shots, 4).sample(0, 0, 2)

    @tf.function
    def both():
        results = []
        for compute in (
            lambda: NaiveLEO(model).meta_loss(episode, training=False),
            lambda: model.meta_loss(episode, training=False)[0:3:2],
        ):
            with tf.GradientTape() as tape:
                loss, accuracy = compute()
            results.append((loss, accuracy, tape.gradient(loss, model.meta_variables)))
        return results

    naive, ours = both()
    np.testing.assert_allclose(naive[0], ours[0], rtol=1e-6)
    np.testing.assert_allclose(naive[1], ours[1], rtol=1e-6)
    for expected, got in zip(naive[2], ours[2], strict=True):
        np.testing.assert_allclose(expected, got, rtol=1e-3, atol=1e-6)


def test_naive_tasks_have_distinct_classes_and_rows(table):
    episode, names = next(iter(NaivePipeline(table, ways=4, shots=2, queries=3).episodes(5)))
    rows = {row.tobytes(): index // 10 for index, row in enumerate(np.round(table.embeddings, 4))}
    together = np.concatenate([episode.support_x, episode.query_x], axis=2)
    classes = [[{rows[np.round(x, 4).tobytes()] for x in way} for way in task] for task in together]
    assert all(len(way) == 1 for task in classes for way in task)
    assert all(len(set().union(*task)) == 4 for task in classes)
    assert len(np.unique(together[0].reshape(-1, 16), axis=0)) == 4 * 5
    assert names.shape == (5, 4, 5)
    assert episode.query_y.numpy()[0].tolist() == [[way] * 3 for way in range(4)]
