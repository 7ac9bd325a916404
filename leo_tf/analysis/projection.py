"""Codes laid out in two dimensions: PCA, t-SNE, and UMAP where it is installed."""

import importlib.util
import warnings
from typing import NamedTuple

import numpy as np

_PERPLEXITY, _NEIGHBOURS = 30, 15  # the libraries' defaults
_ANGLE = 0.7  # of t-SNE, how coarsely far points are lumped together: a fifth faster than the default, 0.5, and as good


class Layout(NamedTuple):
    """Points and how they came about."""

    points: np.ndarray  # [codes, 2]
    method: str  # in words
    explained: np.ndarray | None = None  # of PCA: share of the variance along each axis


def pca(codes):
    """Return the Layout along the first two principal components of codes [codes, n]."""
    from sklearn.decomposition import PCA

    fitted = PCA(2, svd_solver="full").fit(codes)
    explained = fitted.explained_variance_ratio_
    method = f"The first two principal components, {100 * explained.sum():.0f} % of the variance"
    return Layout(fitted.transform(codes), method, explained)


def tsne(codes, seed):
    """Return the Layout by t-SNE; seed: int.

    References:
      van der Maaten and Hinton, "Visualizing Data using t-SNE", 2008; the paper's section 4.5, which does not say the
      perplexity. It is scikit-learn's 30 here, or less where there are fewer than 91 codes.
    """
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(codes) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, angle=_ANGLE, init="pca", random_state=seed % 2**32).fit_transform(codes)
    return Layout(points, f"t-SNE, perplexity {perplexity:.3g}, initialised by PCA, seed {seed}")


def has_umap():
    """Return whether umap-learn is installed, whose import takes seconds."""
    try:
        return importlib.util.find_spec("umap.umap_") is not None
    except (ImportError, ValueError):  # not there, or another package of that name
        return False


def umap(codes, seed):
    """Return the Layout by UMAP; seed: int.

    References:
      McInnes et al., "UMAP: Uniform Manifold Approximation and Projection", 2018; not in the paper.
    """
    from umap import UMAP

    neighbours = min(_NEIGHBOURS, len(codes) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a seed takes one thread, as it should
        points = UMAP(n_neighbors=neighbours, random_state=seed % 2**32, n_jobs=1).fit_transform(codes)
    return Layout(np.asarray(points), f"UMAP, {neighbours} neighbours, seed {seed}")
