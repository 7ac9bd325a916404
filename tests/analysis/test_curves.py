"""Accuracy against steps and shapes: every point is what an evaluation of its own gives."""

import itertools

import numpy as np
import pytest

from leo_tf import LEO, InputError, LEOConfig, evaluate
from leo_tf.analysis import curves
from leo_tf.analysis.curves import shape_grid, steps_curve
from leo_tf.classification.evaluation import evaluate_tasks
from leo_tf.classification.tasks import draw_tasks


@pytest.fixture(scope="module")
def model():
    config = LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4, finetuning_lr_init=0.5)
    return LEO(config, 8, seed=1)


def test_no_steps_are_the_decoded_codes(model, make_episode):
    episode = make_episode(dtype="float32")
    classifier = curves.with_steps(model, 0, 0).adapt(episode.support_x, episode.support_y)
    latents = model.encode(episode.support_x).mean()
    np.testing.assert_allclose(classifier, model.decode(latents).mean(), rtol=1e-6)


def test_steps_curve(model, table):
    tasks = draw_tasks(table, 3, 2, None, 12)
    points = steps_curve(model, table, tasks)
    assert [(p.latent_steps, p.finetuning_steps) for p in points] == [(0, 0), (1, 0), (2, 0), (2, 1)]
    whole = evaluate_tasks(model, table, tasks, batch_size=5)
    for name in ("accuracy", "loss"):
        assert getattr(points[-1], name) == pytest.approx(getattr(whole, name), rel=1e-5)
    assert points[0].gain == (0.0, 0.0)
    for before, after in itertools.pairwise(points):
        assert after.loss.mean < before.loss.mean  # this model's steps go downhill
    for point in points:
        assert point.gain.mean == pytest.approx(point.accuracy.mean - points[0].accuracy.mean, abs=1e-6)
    assert all(0 < point.entropy.mean < np.log(3) for point in points)
    assert points[-1].entropy.mean < points[0].entropy.mean
    assert points[1].summary()["accuracy"] == points[1].accuracy._asdict()


def test_steps_beyond_the_models_own(model, table):
    points = steps_curve(model, table, draw_tasks(table, 3, 1, 5, 2), latent_steps=1, finetuning_steps=2)
    assert [(p.latent_steps, p.finetuning_steps) for p in points] == [(0, 0), (1, 0), (1, 1), (1, 2)]


def test_grid(monkeypatch, model, uneven_table):
    monkeypatch.setattr(curves, "_PAIRS_AT_ONCE", 40)  # batches of 1 to 4 tasks
    results = shape_grid(model, uneven_table, [5, 3], [2, 1], num_tasks=6, seed=2)
    assert [(r.ways, r.shots, r.queries) for r in results] == [(3, 1, 8), (3, 2, 7), (5, 1, 8), (5, 2, 7)]
    alone = evaluate(model, uneven_table, 5, 2, num_tasks=6, seed=2)
    assert results[3].tasks_digest == alone.tasks_digest
    np.testing.assert_allclose(results[3].task_accuracy, alone.task_accuracy, rtol=1e-6)


def test_a_shape_that_does_not_fit_is_found_first(monkeypatch, model, uneven_table):
    monkeypatch.setattr(curves, "evaluate_tasks", lambda *_: pytest.fail("evaluated"))
    with pytest.raises(InputError, match="8-way tasks need 8 classes; uneven has 7"):
        shape_grid(model, uneven_table, [3, 8], [1], num_tasks=6)
    with pytest.raises(InputError, match="has 9 examples; 9 shots"):
        shape_grid(model, uneven_table, [3], [1, 9], num_tasks=6)
