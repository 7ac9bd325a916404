"""Accuracy by ways and shots: every cell is the result of an evaluation of its own."""

import numpy as np
import pytest

from leo_tf import LEO, InputError, LEOConfig, MAMLConfig, evaluate
from leo_tf.analysis import shape_grid as module
from leo_tf.analysis.shape_grid import default_grid, shape_grid
from leo_tf.classification.maml import MAML


@pytest.fixture(scope="module")
def model():
    config = LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4, finetuning_lr_init=0.5)
    return LEO(config, 8, seed=1)


@pytest.mark.long
def test_cells_equal_separate_evaluations(monkeypatch, model, uneven_table):
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 40)  # batches of 1 to 4 tasks
    results = shape_grid(model, uneven_table, [5, 3], [2, 1], num_tasks=6, seed=2)
    assert [(r.ways, r.shots, r.queries) for r in results] == [(3, 1, 8), (3, 2, 7), (5, 1, 8), (5, 2, 7)]
    alone = evaluate(model, uneven_table, 5, 2, num_tasks=6, seed=2)
    assert results[3].tasks_digest == alone.tasks_digest
    np.testing.assert_allclose(results[3].task_accuracy, alone.task_accuracy, rtol=1e-6)


def test_shapes_that_do_not_fit_are_refused_before_any_evaluation(monkeypatch, model, uneven_table):
    monkeypatch.setattr(module, "evaluate_tasks", lambda *_: pytest.fail("evaluated"))
    with pytest.raises(InputError, match="8-way tasks need 8 classes; uneven has 7"):
        shape_grid(model, uneven_table, [3, 8], [1], num_tasks=6)
    with pytest.raises(InputError, match="has 9 examples; 9 shots"):
        shape_grid(model, uneven_table, [3], [1, 9], num_tasks=6)
    with pytest.raises(InputError, match="3 classes; got tasks of 5"):
        shape_grid(MAML(MAMLConfig(), 8, 3), uneven_table, [3, 5], [1], num_tasks=6)


def test_default_grid_is_what_the_table_and_the_model_have(uneven_table):
    assert default_grid(uneven_table) == ([5], [1, 5])
    assert default_grid(uneven_table, fixed_ways=3) == ([3], [1, 5])
