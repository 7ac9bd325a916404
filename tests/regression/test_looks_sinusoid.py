"""The family that fits a function more closely, against least squares by NumPy's solver."""

import numpy as np
import pytest

from leo_tf.regression.tasks import draw_tasks, grid, looks_sinusoid

X = grid()


def distance(values, *features):
    design = np.stack(features, axis=1)
    return np.sum((design @ np.linalg.lstsq(design, values)[0] - values) ** 2)


def test_true_functions_are_recognised():
    tasks = draw_tasks(500)
    np.testing.assert_array_equal(looks_sinusoid(tasks.truth, X), tasks.is_sinusoid)


@pytest.mark.parametrize("spread", [0.1, 5.0])
def test_family_agrees_with_least_squares(spread):
    rng = np.random.default_rng(0)
    straight, wave = rng.uniform(-3, 3, (2, 40, 1))
    functions = straight * X + wave * np.sin(X - 1) + 0.5 + spread * rng.normal(size=(40, len(X)))
    found = looks_sinusoid(functions, X)
    expected = [distance(f, np.sin(X), np.cos(X)) < distance(f, np.ones_like(X), X) for f in functions]
    np.testing.assert_array_equal(found, expected)
    assert 0 < found.sum() < 40


def test_any_batch_shape_and_grid():
    x = np.linspace(-2, 4, 17)
    functions = np.stack([2 * x - 1, 3 * np.sin(x + 2), np.zeros(17) + 4]).reshape(3, 1, 17)
    np.testing.assert_array_equal(looks_sinusoid(np.float32(functions), x), [[False], [True], [False]])
