"""Tasks of EpisodeSampler are well formed, uniform, and depend on seed and index alone."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from leo_tf import EmbeddingTable, EpisodeSampler, InputError

TASKS = 40


def numbered(sizes):
    """Return a table whose row r is [r, class]."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.stack([np.arange(len(labels)), labels], axis=1).astype(np.float32)
    return EmbeddingTable.from_arrays(rows, labels, normalize=False, source="numbered")


TABLES = {"equal": [11] * 6, "unequal": [7, 30, 6, 12, 9, 6]}


@pytest.fixture(scope="module", params=list(TABLES))
def numbered_table(request):
    return numbered(TABLES[request.param])


@pytest.mark.parametrize("ways,shots,queries", [(2, 1, 5), (5, 2, 3), (6, 1, 1), (6, 5, 1)])
def test_tasks_are_well_formed(numbered_table, ways, shots, queries):
    sampler = EpisodeSampler(numbered_table, ways, shots, queries)
    episode = sampler.sample(0, 0, TASKS)
    for labels, number in ((episode.support_y, shots), (episode.query_y, queries)):
        assert labels.dtype == tf.int32
        np.testing.assert_array_equal(labels, np.tile(np.arange(ways)[:, None], (TASKS, 1, number)))
    both = np.concatenate([episode.support_x, episode.query_x], axis=2)
    assert both.shape == (TASKS, ways, shots + queries, 2)
    rows, classes = both[..., 0].astype(int), both[..., 1].astype(int)
    # Every example of a way is of one class; the classes of a task are distinct; no example comes twice.
    np.testing.assert_array_equal(classes, np.broadcast_to(classes[:, :, :1], classes.shape))
    for task in range(TASKS):
        assert len(set(classes[task, :, 0])) == ways
        assert len(set(rows[task].ravel())) == ways * (shots + queries)
    # The rows are the table's own, whole.
    np.testing.assert_array_equal(both, numbered_table.embeddings[rows])


def test_rows_agree_with_the_sample(numbered_table):
    sampler = EpisodeSampler(numbered_table, 3, 2, 4)
    class_ids, rows = sampler.rows(5, 7, TASKS)
    episode = sampler.sample(5, 7, TASKS)
    np.testing.assert_array_equal(episode.support_x[..., 0], rows[:, :, :2])
    np.testing.assert_array_equal(episode.query_x[..., 0], rows[:, :, 2:])
    np.testing.assert_array_equal(episode.support_x[:, :, 0, 1], class_ids)


def test_fewer_examples_are_a_prefix_of_more(numbered_table):
    sampler = EpisodeSampler(numbered_table, 3, 2, 4)
    class_ids, rows = sampler.rows(5, 7, TASKS)
    for examples in (1, 2, 5):
        fewer_ids, fewer = sampler.rows(5, 7, TASKS, examples=examples)
        np.testing.assert_array_equal(fewer_ids, class_ids)
        np.testing.assert_array_equal(fewer, rows[:, :, :examples])


def test_a_task_depends_on_seed_and_index_alone(numbered_table):
    sampler = EpisodeSampler(numbered_table, 3, 2, 4)
    whole = np.asarray(sampler.rows(5, 100, 12)[1])
    np.testing.assert_array_equal(np.concatenate([sampler.rows(5, 100, 5)[1], sampler.rows(5, 105, 7)[1]]), whole)
    in_graph = tf.function(lambda seed, first: sampler.rows(seed, first, 4)[1])
    np.testing.assert_array_equal(in_graph(tf.constant(5), tf.constant(103, tf.int64)), whole[3:7])
    again = EpisodeSampler(numbered_table, 3, 2, 4)
    np.testing.assert_array_equal(again.rows(5, 100, 12)[1], whole)
    assert len({task.tobytes() for task in whole}) == 12
    assert not np.array_equal(sampler.rows(6, 100, 12)[1], whole)


def test_classes_and_examples_are_uniform():
    sizes = np.array([7, 30, 6, 12, 9, 6])
    sampler = EpisodeSampler(numbered(sizes), 3, 1, 2)
    class_ids, rows = (np.asarray(part) for part in sampler.rows(0, 0, 6000))
    for way in range(3):
        counts = np.bincount(class_ids[:, way], minlength=6)
        assert stats.chisquare(counts).pvalue > 1e-3, way
    for place in range(3):
        for class_id in range(6):
            chosen = rows[..., place][class_ids == class_id] - sizes[:class_id].sum()
            assert stats.chisquare(np.bincount(chosen, minlength=sizes[class_id])).pvalue > 1e-4, (place, class_id)


def test_pairs_of_places_are_uniform():
    """Support and query of a way are independent but for being distinct: all ordered pairs are equally frequent."""
    _, rows = EpisodeSampler(numbered([6, 6]), 2, 1, 1).rows(0, 0, 6000)
    pairs = np.asarray(rows) % 6
    counts = np.bincount((pairs[..., 0] * 6 + pairs[..., 1]).ravel(), minlength=36).reshape(6, 6)
    assert not counts.diagonal().any()
    assert stats.chisquare(counts[~np.eye(6, dtype=bool)]).pvalue > 1e-3


def test_queries_default_to_the_rest_of_the_smallest_class():
    sampler = EpisodeSampler(numbered([7, 30, 6, 12]), 2, 2)
    assert sampler.queries == 4
    assert not sampler.takes_all
    assert sampler.sample(0, 0, 3).query_x.shape == (3, 2, 4, 2)
    equal = EpisodeSampler(numbered([11] * 4), 2, 2)
    assert (equal.queries, equal.takes_all) == (9, True)
    _, rows = equal.rows(0, 0, 5)
    assert {tuple(sorted(way)) for way in np.asarray(rows).reshape(-1, 11) % 11} == {tuple(range(11))}
    assert not EpisodeSampler(numbered([11] * 4), 2, 2, 8).takes_all


def test_too_few_examples_error_names_the_class_and_its_count():
    rows = {"cat": np.ones((9, 2)), "newt": np.ones((5, 2)), "ant": np.ones((8, 2))}
    table = EmbeddingTable.from_dict(rows, source="zoo")
    with pytest.raises(InputError, match=r"'newt' of zoo has 5 examples; 3 shots and 3 queries need 6"):
        EpisodeSampler(table, 2, 3, 3)
    with pytest.raises(InputError, match=r"'newt' of zoo has 5 examples; 5 shots and at least 1 queries need 6"):
        EpisodeSampler(table, 2, 5)
    assert EpisodeSampler(table, 2, 3, 2).queries == 2


def test_refuses_more_ways_than_classes():
    with pytest.raises(InputError, match=r"7-way tasks need 7 classes; numbered has 6.*num_classes"):
        EpisodeSampler(numbered([5] * 6), 7, 1, 1)


@pytest.mark.parametrize("shape", [(0, 1, 1), (2, 0, 1), (2, 1, 0)])
def test_empty_tasks_are_refused(shape):
    with pytest.raises(InputError, match="expected at least 1 of each"):
        EpisodeSampler(numbered([5] * 6), *shape)


def test_a_memory_mapped_table_is_not_copied(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)
    (tmp_path / "toy").mkdir()
    np.savez(tmp_path / "toy" / "train.npz", embeddings=rows, labels=np.repeat(np.arange(6), 10))
    mapped = EmbeddingTable.load(tmp_path, "toy", "train", cache_dir=tmp_path / "cache")
    sampler = EpisodeSampler(mapped, 3, 1, 4)
    assert np.shares_memory(np.asarray(memoryview(sampler.embeddings)), mapped.embeddings)
    assert not mapped.embeddings.flags.writeable
    held = EmbeddingTable.from_arrays(rows, np.repeat(np.arange(6), 10))
    del mapped  # the sampler keeps what it shares
    for one, other in zip(sampler.sample(0, 0, 2), EpisodeSampler(held, 3, 1, 4).sample(0, 0, 2), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_misaligned_or_foreign_read_only_table_is_copied():
    memory = np.zeros(60 * 16 * 4 + 128, np.uint8)
    start = -memory.ctypes.data % 64
    for offset in (0, 4):
        rows = memory[start + offset :][: 60 * 16 * 4].view(np.float32).reshape(60, 16)
        rows[:] = np.random.default_rng(offset).normal(size=rows.shape)
        table = EmbeddingTable(np.frombuffer(rows.tobytes(), np.float32).reshape(60, 16), tuple("abcdef"),
                               np.full(6, 10), "digest", "toy", False)  # fmt: skip
        np.testing.assert_array_equal(EpisodeSampler(table, 3, 1, 4).embeddings, rows)
