"""Projections: points and method of each; UMAP by a test double and, where it is installed, itself."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest

from leo_tf.analysis import projection
from leo_tf.errors import has_package

SEED = 2**40 + 7  # more than scikit-learn takes


@pytest.fixture
def codes():
    return np.random.default_rng(0).normal(size=(40, 5))


@pytest.fixture
def umap(monkeypatch):
    """Settings that a test double of umap-learn, installed for the test, was given."""
    given = {}

    class UMAP:
        def __init__(self, **settings):
            given.update(settings)

        def fit_transform(self, codes):
            return codes[:, :2].tolist()

    for name in ("umap", "umap.umap_"):
        module = ModuleType(name)
        module.__spec__, module.__path__, module.UMAP, module.given = ModuleSpec(name, None), [], UMAP, given
        monkeypatch.setitem(sys.modules, name, module)
    return given


def test_pca_states_the_variance_it_explains(codes):
    found = projection.pca(codes)
    values = np.linalg.svd(codes - codes.mean(axis=0), compute_uv=False) ** 2
    np.testing.assert_allclose(found.explained, values[:2] / values.sum())
    assert f"{100 * found.explained.sum():.0f} % of the variance" in found.method


@pytest.mark.parametrize("count, perplexity", [(40, "13"), (100, "30")])
def test_tsne_states_its_perplexity_and_repeats(count, perplexity):
    codes = np.random.default_rng(0).normal(size=(count, 5))
    found = projection.tsne(codes, SEED)
    assert found.points.shape == (count, 2)
    assert found.method == f"t-SNE, perplexity {perplexity}, initialised by PCA, seed {SEED}"
    np.testing.assert_array_equal(found.points, projection.tsne(codes, SEED).points)


def test_umap_is_used_where_it_is_installed(codes, umap):
    assert has_package("umap.umap_")
    found = projection.umap(codes, SEED)
    np.testing.assert_array_equal(found.points, codes[:, :2])
    assert umap == {"n_neighbors": 15, "random_state": 7 + 2**40 % 2**32, "n_jobs": 1}
    assert found.method == f"UMAP, 15 neighbours, seed {SEED}"


def test_another_package_named_umap_does_not_count(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    assert not has_package("umap.umap_")
    another = ModuleType("umap")
    another.__spec__ = ModuleSpec("umap", None)
    monkeypatch.setitem(sys.modules, "umap", another)
    assert not has_package("umap.umap_")


def test_umap_repeats(codes):
    pytest.importorskip("umap.umap_")
    first = projection.umap(codes, 0)
    assert first.points.shape == (40, 2) and np.isfinite(first.points).all()
    np.testing.assert_array_equal(first.points, projection.umap(codes, 0).points)
