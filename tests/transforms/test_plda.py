"""PLDA: its axes and variances against what they are made from, and its classifier against the densities."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from leo_tf.classification.plda_classifier import plda_classifier
from leo_tf.transforms import Plda, fit_plda, gain, plda_transform, principal_scatter, unit_length, whitening

DIM = 5


def classes(count, seed, size=40, dim=DIM):
    """(embeddings, class sizes) of classes that differ in two dimensions, and scatter alike in all."""
    rng = np.random.default_rng(seed)
    centres = np.concatenate([rng.normal(size=(count, 2)), np.zeros((count, dim - 2))], axis=1)
    return np.repeat(centres, size, axis=0) + 0.3 * rng.normal(size=(count * size, dim)), np.full(count, size)


def test_in_its_axes_classes_scatter_as_i_and_class_means_as_the_variances():
    embeddings, sizes = classes(30, 0)
    plda = fit_plda(principal_scatter(embeddings, sizes), 0.0).shrunk(0.0)
    rows = ((unit_length(embeddings) - plda.mean) @ plda.axes).reshape(30, 40, DIM)
    means = rows.mean(axis=1)
    within = np.einsum("cni,cnj->ij", rows - means[:, None], rows - means[:, None]) / (30 * 39)
    np.testing.assert_allclose(within, np.eye(DIM), atol=1e-9)
    between = np.cov(means, rowvar=False)
    np.testing.assert_allclose(between, np.diag(np.diag(between)), atol=1e-9)
    np.testing.assert_allclose(plda.variances, np.maximum(np.diag(between) - 1 / 40, 1e-6), atol=1e-9)


def test_shrinkage_adds_a_share_of_the_mean():
    scatter = principal_scatter(*classes(30, 0))
    plain, shrunk = (fit_plda(scatter, 0.1).shrunk(share) for share in (0.0, 0.5))
    added = 0.5 * np.maximum(plain.variances - 1e-6, 0).mean()
    np.testing.assert_allclose(shrunk.variances - plain.variances, added, rtol=1e-3, atol=2e-6)
    np.testing.assert_array_equal(shrunk.axes, plain.axes)


def test_with_fewer_classes_than_dimensions_the_axes_are_complete():
    plda = fit_plda(principal_scatter(*classes(3, 0)), 0.3).shrunk(0.3)
    assert plda.axes.shape == (DIM, DIM) and np.linalg.matrix_rank(plda.axes) == DIM
    assert (plda.variances > 0).all()


def log_densities(queries, support, counts, variances):
    """Predictive log-densities [queries, ways] of the model, with the covariance at the mean count."""
    mean_count = np.mean(counts)
    spread = (1 + (mean_count + 1) * variances) / (1 + mean_count * variances)
    columns = []
    for rows, count in zip(support, counts, strict=True):
        expected = count * variances / (1 + count * variances) * rows[:count].mean(axis=0)
        columns.append(stats.multivariate_normal(expected, np.diag(spread)).logpdf(queries))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("counts", [[1, 1, 1], [4, 4, 4], [1, 3, 6]])
def test_the_classifier_gives_the_predictive_densities(counts):
    rng = np.random.default_rng(2)
    variances, metric = rng.uniform(0.1, 3, size=DIM), rng.uniform(0.5, 2, size=DIM)
    support, queries = rng.normal(size=(3, 6, DIM)), rng.normal(size=(7, DIM))
    means = np.stack([rows[:count].mean(axis=0) for rows, count in zip(support, counts, strict=True)])
    classifier = plda_classifier((metric * means)[None], [counts], variances, metric, 1.0)[0].numpy()
    logits = (metric * queries) @ classifier[:, :-1].T + classifier[:, -1]
    expected = log_densities(queries, support, counts, variances)
    relative = [each - each.mean(axis=1, keepdims=True) for each in (logits, expected)]
    np.testing.assert_allclose(*relative, atol=1e-9)


def test_golden_numbers_of_the_classifier():
    """By hand: v = 1, K = 2: a mean of 3 shrinks to 2, s = 4/3; weight 2 / (4/3) = 1.5, bias -2 * 1.5 / 2."""
    np.testing.assert_allclose(plda_classifier(tf.constant([[[3.0]]]), 2, 1.0, 1.0, 1.0), [[[1.5, -1.5]]])


def test_gain_is_the_square_root_of_the_weight_of_an_axis():
    np.testing.assert_allclose(gain(np.array([1.0, 3.0]), 2) ** 2, [2 / 4, 6 / 10])


def test_directions_without_class_differences_get_little_weight():
    scatter, (new, _) = principal_scatter(*classes(60, 0, dim=12)), classes(30, 1, dim=12)
    of_plda, of_whitening = plda_transform(fit_plda(scatter, 0.1).shrunk(0.1)), whitening(scatter, 0.1)
    assert isinstance(fit_plda(scatter, 0.1).shrunk(0.1), Plda)
    ratios = [np.sort((each.apply(new) ** 2).mean(axis=0))[-2:].sum() for each in (of_plda, of_whitening)]
    assert ratios[0] > 0.75 > 0.6 > ratios[1]
