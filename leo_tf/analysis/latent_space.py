"""The latent space: codes before and after adaptation, their projections, and how well they separate."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from leo_tf.analysis import projection
from leo_tf.analysis.projection import Projection
from leo_tf.analysis.separation import Separation, explained_by_neighbours, separation
from leo_tf.analysis_target import AnalysisTarget
from leo_tf.errors import InputError, has_package

STAGES = ("before", "after")
_POINTS = 10_000  # as in the paper's figure


@dataclasses.dataclass(frozen=True)
class LatentSpace:
    """Codes of tasks before and after their latent steps."""

    codes: np.ndarray  # [2, codes, num_latents], before and after
    tasks: np.ndarray  # [codes], the task of each
    labels: Mapping[str, np.ndarray]  # {name: text [codes]}
    values: Mapping[str, np.ndarray]  # {name: float [codes]}, NaN where a code has none
    # Of both stages together, the points of before first, of the first 5,000 codes: PCA, t-SNE, and UMAP if installed.
    projections: Mapping[str, Projection]
    separations: Mapping[str, tuple[Separation, ...]]  # {label: before and after}
    explained: Mapping[str, tuple[float, ...]]  # {value: R^2 before and after}, by `explained_by_neighbours`

    def summary(self) -> dict[str, Any]:
        """Return a plain dict for JSON."""
        explained = self.projections["PCA"].explained
        return {
            "codes": len(self.tasks),
            "num_tasks": int(self.tasks[-1]) + 1,
            "pca_explained": explained.tolist() if explained is not None else None,
            "separation": {
                label: {stage: found._asdict() for stage, found in zip(STAGES, pair, strict=True)}
                for label, pair in self.separations.items()
            },
            "explained_by_neighbours": {
                name: dict(zip(STAGES, pair, strict=True)) for name, pair in self.explained.items()
            },
        }


def measure_latent_space(target: AnalysisTarget, seed: int = 0) -> LatentSpace:
    """Trace the codes of a target's tasks, project them (`seed`: of t-SNE and UMAP) and measure their separation.

    The codes are the means that evaluation uses: the encoder's before, and those after all latent steps.

    Raises:
      InputError: the learner has no encoder.

    References:
      Paper section 4.5.
    """
    if not target.learner.has_latents or target.learner.encoder is None:
        raise InputError(
            f"This {target.learner.algorithm} has no encoder, and so no latent space; expected a LEO with "
            "codes_from=encoder.",
            "codes_from",
        )
    ends = [np.asarray(trace.latents)[[0, -1]] for _, trace in target.traces()]
    width = ends[0].shape[-1]
    codes = np.concatenate([each.reshape(2, -1, width) for each in ends], axis=1)
    count = len(target.tasks)
    tasks = np.repeat(np.arange(count), codes.shape[1] // count)
    labels, values, rows = target.labels, target.values, target.code_rows
    joined = codes[:, : _POINTS // 2].reshape(-1, width).astype(np.float64)
    projections = {"PCA": projection.pca(joined), "t-SNE": projection.tsne(joined, seed)}
    if has_package("umap.umap_"):  # without importing it, which takes seconds
        projections["UMAP"] = projection.umap(joined, seed)
    return LatentSpace(
        codes,
        tasks,
        labels,
        values,
        projections,
        {
            name: tuple(separation(stage, texts, tasks, rows) for stage in codes)
            for name, texts in labels.items()
            if len(set(texts)) > 1
        },
        {
            name: tuple(explained_by_neighbours(stage, numbers, tasks, rows) for stage in codes)
            for name, numbers in values.items()
        },
    )
