"""The grid of validation tasks, the shapes of meta-training tasks, and validation of features that change."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import EmbeddingTable, InputError, LEOConfig, ProtoLEO, ProtoLEOConfig, RunConfig
from leo_tf.classification.grid import grid_cells, interpolate_by_shots, task_shapes
from leo_tf.classification.problem import Classification
from leo_tf.classification.proto_leo_init import InitializationData
from leo_tf.classification.tasks import draw_tasks
from leo_tf.classification.validation import Validator
from leo_tf.config import DataConfig, EpisodeConfig, TrainingConfig
from leo_tf.evaluation.single_process import SINGLE_PROCESS

DIM = 6


def table_of(classes, rows, seed=0):
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(classes, 1, DIM)) + 0.5 * rng.normal(size=(classes, rows, DIM))
    return EmbeddingTable.from_arrays(found.reshape(-1, DIM), np.repeat(np.arange(classes), rows), source="arrays")


def shapes_of(classes, rows, ways=5):
    return [(cell.ways, cell.shots) for cell in grid_cells(table_of(classes, rows), ways)]


def test_the_grid_is_as_large_as_the_data_allow():
    assert shapes_of(20, 30) == [(5, 1), (5, 5), (5, 20), (15, 1), (15, 5), (15, 20)]
    assert shapes_of(8, 12) == [(5, 1), (5, 5), (8, 1), (8, 5)]
    assert shapes_of(3, 3) == [(3, 1)]
    assert shapes_of(20, 30, ways=2)[0] == (2, 1)
    for classes, rows in ((3, 1), (1, 30)):
        with pytest.raises(
            InputError, match=r"arrays has . class.*validation tasks need at least 2 of each\. Give meta"
        ):
            grid_cells(table_of(classes, rows), 5)


def test_within_groups_there_are_as_many_ways_as_the_smallest_group_has():
    table = table_of(20, 30)
    names = tuple(f"{'first' if number < 8 else 'second'}/{number}" for number in range(20))
    cells = grid_cells(dataclasses.replace(table, class_names=names), 5, "group")
    assert sorted({cell.ways for cell in cells}) == [5, 8]


@pytest.mark.parametrize(
    ("ways", "shots", "expected"),
    [
        ((5, 5), (1, 1), [(5, 1)]),
        ((5, 20), (1, 5), [(20, 1), (10, 2), (5, 5)]),
        ((5, 5), (2, 20), [(5, 2), (5, 5), (5, 10), (5, 20)]),
        ((5, 20), (1, 1), [(20, 1), (10, 1), (5, 1)]),
        ((5, 5), (1, 100), [(5, 1), (5, 2), (5, 5), (5, 10), (5, 20), (5, 25)]),  # 25 and 5 queries are all there are
    ],
)
def test_tasks_of_more_shots_have_fewer_ways(ways, shots, expected):
    assert task_shapes(ways, shots, table_of(3, 30), queries=5) == expected


def test_ranges_are_read():
    episodes = EpisodeConfig(metatrain_ways="5-20", metatrain_shots="3")
    assert (episodes.ways_range, episodes.shots_range) == ((5, 20), (3, 3))
    assert (EpisodeConfig(4, 2).ways_range, EpisodeConfig(4, 2).shots_range) == ((4, 4), (2, 2))
    for wrong in ("0", "5-1", "1-", "few", "1-2-3", "-4"):
        with pytest.raises(InputError, match=r"metatrain_shots=.* was given; expected a number, or a range such as"):
            EpisodeConfig(metatrain_shots=wrong)


def test_validation_sees_what_training_changes():
    model = ProtoLEO(LEOConfig(), ProtoLEOConfig(0.3, 0.3, 5.0), DIM, seed=0)
    model.initialize(InitializationData(table_of(8, 20), None, 3, "all"))
    table = table_of(6, 20, seed=1)
    tasks = [draw_tasks(table, *shape, 5, 10) for shape in ((3, 1), (5, 2))]
    validate = Validator(model, table, tasks, 5, SINGLE_PROCESS)
    before = validate()
    assert before.scores.shape == (20,) and before.interval.mean == pytest.approx(before.scores.mean())
    model.plda.correction.assign(20 * np.random.default_rng(0).normal(size=(DIM, DIM)))
    changed, fresh = validate(), Validator(model, table, tasks, 5, SINGLE_PROCESS)()
    assert not np.array_equal(changed.scores, before.scores)
    np.testing.assert_array_equal(changed.scores, fresh.scores)


def run_on_the_grid(tmp_path, queries, copies=1):
    """A Classification with classes of 12 rows, of which there are this many copies each."""
    for split, seed in (("train", 0), ("val", 1)):
        rows = np.repeat(table_of(8, 12, seed).embeddings, copies, axis=0)
        (tmp_path / "own").mkdir(parents=True, exist_ok=True)
        labels = [f"{split}{n}" for n in np.repeat(np.arange(8), 12 * copies)]
        np.savez(tmp_path / "own" / f"{split}.npz", embeddings=rows, labels=labels)
    config = RunConfig(
        data=DataConfig(data_path=str(tmp_path), dataset_name="own", cache_dir=str(tmp_path)),
        episodes=EpisodeConfig(5, 1, 3, metatrain_shots="1-2", metatrain_ways="2-8"),
        training=TrainingConfig(metavalid_tasks=10, metavalid_queries=queries, metavalid_grid=True),
        proto_leo=ProtoLEOConfig(0.3, 0.3, 5.0),
        algorithm="proto_leo",
    )
    return Classification(config)


def validated(problem):
    learner = problem.build_learner(problem.data_record, seed=0)
    problem.initialize(learner)
    return problem.make_validator(learner)()


@pytest.mark.long
def test_duplicates_do_not_change_validation_on_the_grid(tmp_path):
    expected, found = (validated(run_on_the_grid(tmp_path / name, 15, len(name))) for name in ("a", "bb"))
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert found.baselines == expected.baselines


@pytest.mark.parametrize("queries", [5, pytest.param(15, marks=pytest.mark.long)])  # 5 shots leave 7 of 12 examples
def test_a_run_validates_on_the_grid(tmp_path, queries):
    problem = run_on_the_grid(tmp_path, queries)
    learner = problem.build_learner(problem.data_record, seed=0)
    problem.initialize(learner)
    assert [(each.ways, each.shots) for each in problem.make_samplers(learner)] == [(8, 1), (2, 2)]
    found = problem.make_validator(learner)()
    assert found.scores.shape == (10,) and list(found.baselines) == ["nearest class mean"]


def test_interpolation_is_linear_in_the_logarithm_of_the_shots_and_constant_outside():
    counts, shots, values = np.array([0.5, 1, 2.5, 5, 9, 20, 300]), [1, 5, 20], [3.0, -1.0, 4.0]
    expected = np.interp(np.log(counts), np.log(shots), values)
    np.testing.assert_allclose(interpolate_by_shots(tf.constant(counts), shots, values), expected, rtol=1e-12)
    np.testing.assert_array_equal(interpolate_by_shots(tf.constant([[2.0], [7.0]]), [3], [0.25]), [[0.25], [0.25]])
