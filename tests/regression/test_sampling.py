"""Fixed tasks with nested shots; sampled functions, which depend on seed, sample and task alone; their scores."""

import dataclasses
import functools
import hashlib

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import InputError, LEOConfig, MAMLConfig, randomness
from leo_tf.config import RegressionConfig
from leo_tf.regression import metrics, sampling
from leo_tf.regression.leo import RegressionLEO
from leo_tf.regression.maml import RegressionMAML
from leo_tf.regression.tasks import draw_tasks, grid

CONFIG = LEOConfig(inner_unroll_length=1, finetuning_unroll_length=1, num_latents=2, inner_lr_init=0.01)
SIZES = RegressionConfig(
    network_units=3, encoder_units=3, relation_units=3, decoder_units=3, encoder_layers=2, decoder_layers=2
)


@pytest.fixture(scope="module")
def tasks():
    return draw_tasks(11, seed=2)


@pytest.fixture(scope="module")
def model():
    return RegressionLEO(CONFIG, SIZES, seed=1)


def arrays(tasks):
    return [getattr(tasks, field.name) for field in dataclasses.fields(tasks)]


sampler = functools.cache(sampling.FunctionSampler)  # each compiles


def functions(model, tasks, batch_size, samples=3, shots=5, **kwargs):
    return sampler(model, batch_size).functions(*tasks.support(shots), samples, **kwargs)


@pytest.fixture(scope="module")
def found(model, tasks):
    """Three functions of each task, the tasks in batches of 4."""
    return functions(model, tasks, 4)


def test_the_grid_consists_of_midpoints():
    x = grid()
    assert x.shape == (100,) and x.dtype == np.float64
    np.testing.assert_allclose([x[0], x[1], x[-1]], [-4.95, -4.85, 4.95])
    np.testing.assert_allclose(np.diff(x), 0.1)


def test_shots_are_nested_and_noisy_points_of_the_truth(tasks):
    assert tasks.support_x.shape == tasks.support_y.shape == (11, 20, 1) and tasks.truth.shape == (11, 100)
    for shots in (1, 5, 20):
        for ours, all_of_them in zip(tasks.support(shots), (tasks.support_x, tasks.support_y), strict=True):
            np.testing.assert_array_equal(ours, all_of_them[:, :shots])
    x, y = tasks.support_x[..., 0], tasks.support_y[..., 0]
    inside = np.abs(x) < 4.9
    at = np.stack([np.interp(a, grid(), truth) for a, truth in zip(x, tasks.truth, strict=True)])
    assert (y - at)[inside].std() == pytest.approx(0.3, rel=4 / np.sqrt(2 * inside.sum()))
    quiet = draw_tasks(11, seed=2, noise_stddev=0.0)
    np.testing.assert_array_equal(quiet.truth, tasks.truth)
    np.testing.assert_allclose(quiet.support_y[..., 0][inside], at[inside], atol=0.01)


def test_fewer_tasks_are_the_first_of_more_and_streams_differ(tasks):
    for ours, expected in zip(arrays(draw_tasks(4, seed=2)), arrays(tasks), strict=True):
        np.testing.assert_allclose(ours, expected[:4], atol=1e-5)
    for other in (draw_tasks(11, 3), draw_tasks(11, 2, randomness.VALIDATION)):
        assert not np.intersect1d(other.support_x, tasks.support_x).size
    with pytest.raises(InputError, match="Got 1 tasks; an interval needs at least 2"):
        draw_tasks(1)


def test_digest_of_tasks(tasks):
    digest = hashlib.sha256(tasks.support_x.tobytes() + tasks.support_y.tobytes()).hexdigest()
    assert tasks.digest == digest == draw_tasks(11, seed=2).digest
    changed = tasks.support_y.copy()
    changed[3, 19] += 1
    others = [dataclasses.replace(tasks, support_y=changed), tasks.take(slice(10)), tasks.take([1, 0, *range(2, 11)])]
    assert len({digest, *(other.digest for other in others), draw_tasks(11, noise_stddev=0.1).digest}) == 5


def test_take_selects_tasks(tasks):
    assert len(tasks) == 11 and len(tasks.take(slice(2))) == 2
    for ours, expected in zip(arrays(tasks.take(np.array([3, 1]))), arrays(tasks), strict=True):
        np.testing.assert_array_equal(ours, expected[[3, 1]])


@pytest.mark.parametrize("batch_size", [pytest.param(11, marks=pytest.mark.long), 3])
def test_functions_do_not_depend_on_the_batch_size(model, tasks, found, batch_size):
    assert found.shape == (3, 11, 100) and found.dtype == np.float32
    np.testing.assert_allclose(functions(model, tasks, batch_size), found, rtol=1e-4, atol=1e-5)


def test_a_function_depends_on_seed_sample_and_task_alone(model, tasks, found):
    other = draw_tasks(11, seed=9)
    names = ("support_x", "support_y")
    mixed = dataclasses.replace(
        tasks, **{name: np.concatenate([getattr(tasks, name)[:6], getattr(other, name)[6:]]) for name in names}
    )
    among_others = functions(model, mixed, 4)
    np.testing.assert_allclose(among_others[:, :6], found[:, :6], rtol=1e-4, atol=1e-5)
    assert np.abs(among_others[:, 6:] - found[:, 6:]).max(axis=(0, 2)).min() > 1e-3
    np.testing.assert_allclose(functions(model, tasks.take(slice(5)), 4), found[:, :5], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(functions(model, tasks, 4, samples=2), found[:2], rtol=1e-5, atol=1e-6)
    last = functions(model, tasks.take(slice(5, None)), 4, first_task=5)
    np.testing.assert_allclose(last, found[:, 5:], rtol=1e-4, atol=1e-5)
    # The same points in two places have noise of their own, as have two samples and two seeds.
    twice = functions(model, tasks.take([0, 0]), 4)
    for a, b in ((twice[:, 0], twice[:, 1]), (found[0], found[1]), (found, functions(model, tasks, 4, seed=1))):
        assert np.abs(a - b).max(axis=-1).min() > 1e-3


def test_functions_are_those_the_model_samples(model, tasks, found):
    """Sample s is adapted with the noise of seed, s and task."""
    for sample in (0, 2):
        pair = tf.random.fold_in(randomness.stream_seed(0, randomness.SAMPLES), sample)
        parameters = model.sample(*tasks.support(5), seed=pair)
        query = np.broadcast_to(np.float32(grid())[:, None], (11, 100, 1))
        np.testing.assert_allclose(model.predict_at(query, parameters)[..., 0], found[sample], rtol=1e-4, atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize(
    "make,config",
    [
        (RegressionMAML, MAMLConfig(maml_steps=1, maml_lr=0.001)),
        (RegressionLEO, dataclasses.replace(CONFIG, stochastic=False)),
    ],
    ids=["MAML", "LEO"],
)
def test_deterministic_models_give_one_function(make, config, tasks):
    model = make(config, SIZES, seed=1)
    np.testing.assert_array_equal(functions(model, tasks, 4, samples=5), functions(model, tasks, 4, samples=0))


def test_scores_by_hand():
    truth = np.zeros((2, 3))
    samples = np.array([[[1.0, 1, 1], [2, 0, 0]], [[3.0, 1, 1], [-2, 0, 0]]])
    found = metrics.score(samples, truth)
    np.testing.assert_allclose(found.squared_error, [2.0, 0.0])  # of the means (2, 1, 1) and 0
    np.testing.assert_allclose(found.single_squared_error, [(1 + 9 + 4) / 6, 8 / 6])
    np.testing.assert_allclose(found.crps, [(2 - 1 + 1 + 1) / 3, 0.0])
    assert found.coverage.shape == (4, 2) and not np.isnan(found.coverage).any()
    np.testing.assert_array_equal(found.coverage[0], [0.0, 1.0])
    single = metrics.score(samples[:1], truth)
    np.testing.assert_allclose([single.squared_error, single.single_squared_error], [[1, 4 / 3]] * 2)
    np.testing.assert_allclose(single.crps, [1, 2 / 3])
    assert np.isnan(single.coverage).all()
