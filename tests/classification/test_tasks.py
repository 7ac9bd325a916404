"""Test tasks: drawn from a seed, stored in a file, and corrupt or impossible files."""

import dataclasses

import numpy as np
import pytest

from leo_tf import LEO, EmbeddingTable, EpisodeSampler, InputError, LEOConfig, evaluate, randomness
from leo_tf.classification import evaluator
from leo_tf.classification.evaluation import evaluate_tasks
from leo_tf.classification.tasks import Tasks, draw_tasks


@pytest.fixture(scope="module")
def model():
    return LEO(LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4), 8, seed=1)


@pytest.mark.parametrize("which,queries", [("table", None), ("table", 4), ("uneven_table", None)])
def test_drawn_tasks_are_those_of_the_sampler(request, which, queries):
    table = request.getfixturevalue(which)
    tasks, sampler = draw_tasks(table, 4, 2, queries, 450, seed=5), EpisodeSampler(table, 4, 2, queries)
    class_ids, rows = sampler.rows(randomness.stream_seed(5, randomness.TEST), 0, 450)
    np.testing.assert_array_equal(tasks.class_ids, class_ids)
    np.testing.assert_array_equal(tasks.support_rows, rows[:, :, :2])
    assert (len(tasks), tasks.ways, tasks.shots, tasks.queries) == (450, 4, 2, sampler.queries)
    assert (tasks.query_rows is None) == (which == "table" and queries is None)
    np.testing.assert_array_equal(np.sort(tasks.rows(sampler)[:, :, 2:]), np.sort(rows[:, :, 2:]))


def test_a_smaller_number_gives_the_first_tasks_of_a_larger_one(table):
    few, many = draw_tasks(table, num_tasks=7), draw_tasks(table, num_tasks=405)
    assert few.digest == many.take(slice(7)).digest != many.digest


def test_the_digest_distinguishes_tasks(table, uneven_table):
    digests = {
        draw_tasks(*arguments).digest
        for arguments in [
            (table, 5, 1, None, 9, 0),
            (table, 5, 1, None, 9, 1),
            (table, 5, 1, None, 8, 0),
            (table, 4, 1, None, 9, 0),
            (table, 5, 2, None, 9, 0),
            (table, 5, 1, 6, 9, 0),
            (uneven_table, 5, 1, None, 9, 0),
        ]
    }
    assert len(digests) == 7
    assert draw_tasks(table, num_tasks=9).digest == draw_tasks(table, num_tasks=9).digest


@pytest.mark.parametrize("blocks", [1, 10**9], ids=["blocks", "gathered"])
@pytest.mark.parametrize("which,queries", [("table", None), ("uneven_table", None), ("table", 6)])
def test_a_task_file_reproduces_the_results_of_the_seed(request, monkeypatch, tmp_path, model, which, queries, blocks):
    monkeypatch.setattr(evaluator, "_BLOCKS_FROM_QUERIES", blocks)
    table = request.getfixturevalue(which)
    drawn = draw_tasks(table, 3, 2, queries, 11, seed=4)
    drawn.save(tmp_path / "tasks.npz")
    tasks = Tasks.load(tmp_path / "tasks.npz", table)
    assert (tasks.digest, tasks.seed, tasks.stream) == (drawn.digest, 4, randomness.TEST)
    from_seed = evaluate(model, table, 3, 2, queries, num_tasks=11, batch_size=4, seed=4)
    from_file = evaluate_tasks(model, table, tasks, batch_size=4)
    for name in ("task_accuracy", "task_loss", "task_baselines"):
        np.testing.assert_array_equal(getattr(from_file, name), getattr(from_seed, name))
    assert from_file.tasks_digest == from_seed.tasks_digest


def test_explicit_query_rows_give_the_same_tasks_as_all_remaining_ones(tmp_path, table):
    drawn = draw_tasks(table, 3, 2, None, 5)
    queries = drawn.rows(EpisodeSampler(table, 3, 2))[:, :, 2:]
    dataclasses.replace(drawn, query_rows=queries).save(tmp_path / "tasks.npz")
    assert Tasks.load(tmp_path / "tasks.npz", table).digest == drawn.digest


def test_tasks_of_other_data_are_refused(tmp_path, model, table, uneven_table):
    drawn = draw_tasks(table, num_tasks=3)
    drawn.save(tmp_path / "tasks.npz")
    for read in (
        lambda: Tasks.load(tmp_path / "tasks.npz", uneven_table),
        lambda: evaluate_tasks(model, uneven_table, drawn),
    ):
        with pytest.raises(InputError, match=f"{table.digest[:12]}.*uneven has {uneven_table.digest[:12]}"):
            read()


def test_a_single_task_is_refused(table):
    with pytest.raises(InputError, match="Got 1 tasks; an interval needs at least 2"):
        draw_tasks(table, num_tasks=1)


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda t: {"class_ids": changed(t.class_ids, (0, 0), 9)}, "random table has 9 classes"),
        (lambda t: {"class_ids": changed(t.class_ids, (0, 0), t.class_ids[0, 1])}, "a class occurs twice"),
        (lambda t: {"class_ids": t.class_ids[:, ::-1]}, "outside its class"),
        (lambda t: {"class_ids": t.class_ids[:, :2]}, r"class_ids \(6, 2\), support_rows \(6, 3, 2\)"),
        (lambda t: {"support_rows": changed(t.support_rows, (1, 1, 0), t.support_rows[1, 1, 1])}, "a row occurs twice"),
        (lambda t: {"query_rows": changed(t.query_rows, (1, 1, 0), t.support_rows[1, 1, 1])}, "a row occurs twice"),
        (lambda t: {"query_rows": t.query_rows[:, :, :2]}, "2 query rows for 4 queries"),
        (lambda t: {"query_rows": None}, r"no query rows, but not every class of random table has 2 \+ 4 rows"),
        (lambda t: vars(t.take(slice(1))), "1 tasks"),
    ],
)  # fmt: skip
def test_impossible_tasks_are_refused(tmp_path, table, change, message):
    tasks = draw_tasks(table, 3, 2, 4, 6)
    dataclasses.replace(tasks, **change(tasks)).save(tmp_path / "tasks.npz")
    with pytest.raises(InputError, match=f"impossible tasks: .*{message}"):
        Tasks.load(tmp_path / "tasks.npz", table)


def test_corrupt_and_other_files_are_refused(tmp_path, table):
    path = tmp_path / "tasks.npz"
    with pytest.raises(InputError, match=r"Cannot read .*tasks.npz .No such file"):
        Tasks.load(path, table)
    draw_tasks(table, num_tasks=50).save(path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (
        whole[:middle],
        whole[:300] + bytes(byte ^ 255 for byte in whole[300:340]) + whole[340:],
        b"",
        b"hello",
    ):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"tasks.npz is corrupt .*expected a task file"):
            Tasks.load(path, table)
    np.save(tmp_path / "plain.npy", np.arange(3))
    np.savez(tmp_path / "other.npz", class_ids=np.arange(3))
    np.savez(tmp_path / "pickled.npz", queries=np.array({"a": 1}, object))
    for name in ("plain.npy", "other.npz", "pickled.npz"):
        with pytest.raises(InputError, match=f"{name} is corrupt"):
            Tasks.load(tmp_path / name, table)


def test_unwritable_file(tmp_path, table):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"Cannot write .*tasks.npz"):
        draw_tasks(table, num_tasks=2).save(tmp_path / "file" / "tasks.npz")


def test_rows_of_whole_classes_cover_them():
    """Every row of a class is support or query, once; classes do not start at row 0."""
    table = EmbeddingTable.from_dict({f"c{n}": np.random.default_rng(n).normal(size=(6, 3)) for n in range(4)})
    sampler = EpisodeSampler(table, 3, 2)
    tasks = draw_tasks(table, 3, 2, None, 20)
    rows = tasks.rows(sampler)
    np.testing.assert_array_equal(np.sort(rows), 6 * tasks.class_ids[..., None] + np.arange(6))
    episode = tasks.episode(sampler)
    np.testing.assert_array_equal(episode.query_x, table.embeddings[rows[:, :, 2:]])
    np.testing.assert_array_equal(episode.support_x, table.embeddings[tasks.support_rows])
