"""Two-dimensional projections of codes: PCA, t-SNE, and UMAP where it is installed."""

import warnings
from typing import NamedTuple

import numpy as np

_PERPLEXITY, _NEIGHBOURS = 30, 15  # the libraries' defaults
_ANGLE = 0.7  # of t-SNE, how coarsely distant points are summarised: a fifth faster than the default, 0.5, and as good


class Projection(NamedTuple):
    """Projected codes and the method in words."""

    points: np.ndarray  # [codes, 2]
    method: str
    explained: np.ndarray | None = None  # of PCA: fraction of the variance along each axis


def pca(codes: np.ndarray) -> Projection:
    """Project codes [codes, n] onto their first two principal components."""
    from sklearn.decomposition import PCA

    fitted = PCA(2, svd_solver="full").fit(codes)
    explained = fitted.explained_variance_ratio_
    method = f"The first two principal components, {100 * explained.sum():.0f} % of the variance"
    return Projection(fitted.transform(codes), method, explained)


def tsne(codes: np.ndarray, seed: int) -> Projection:
    """Project codes [codes, n] by t-SNE, with scikit-learn's perplexity, or less where there are fewer than 91 codes.

    References:
      van der Maaten and Hinton, "Visualizing Data using t-SNE", 2008; the paper's section 4.5, without its perplexity.
    """
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(codes) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, angle=_ANGLE, init="pca", random_state=seed % 2**32).fit_transform(codes)
    return Projection(points, f"t-SNE, perplexity {perplexity:.3g}, initialised by PCA, seed {seed}")


def umap(codes: np.ndarray, seed: int) -> Projection:
    """Project codes [codes, n] by UMAP (McInnes et al., 2018), which is not in the paper."""
    from umap import UMAP

    neighbours = min(_NEIGHBOURS, len(codes) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a seed limits it to one thread
        points = UMAP(n_neighbors=neighbours, random_state=seed % 2**32, n_jobs=1).fit_transform(codes)
    return Projection(np.asarray(points), f"UMAP, {neighbours} neighbours, seed {seed}")
