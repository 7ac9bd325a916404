"""The latent space: codes before and after adaptation, laid out in two dimensions, and how well they separate."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from leo_tf.analysis import projection
from leo_tf.analysis.separation import Separation, explained_by_neighbours, separation
from leo_tf.errors import InputError

STAGES = ("before", "after")
_POINTS = 10_000  # as many as the paper's figure has


@dataclasses.dataclass(frozen=True)
class LatentSpace:
    """Codes of tasks before and after their latent steps.

    Attributes:
      codes: [2, codes, num_latents], before and after.
      tasks: [codes], the task of each.
      labels: {name: text [codes]}, what each code is of.
      values: {name: float [codes]}, numbers on that, NaN where there is none.
      layouts: {"PCA", "t-SNE" and, where umap-learn is installed, "UMAP": [2, points, 2]}, of both stages together; of
        the first codes where they are many.
      methods: {layout: how it was made}.
      explained: [2], share of the variance along the axes of the PCA.
      separations: {label: (Separation before, after)}.
      neighbours: {value's name: (R^2 before, after)}.
    """

    codes: np.ndarray
    tasks: np.ndarray
    labels: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]
    layouts: Mapping[str, np.ndarray]
    methods: Mapping[str, str]
    explained: np.ndarray
    separations: Mapping[str, tuple[Separation, Separation]]
    neighbours: Mapping[str, tuple[float, float]]

    def summary(self):
        """Return a plain dict, for JSON."""
        return {
            "codes": len(self.tasks),
            "num_tasks": int(self.tasks[-1]) + 1,
            "pca_explained": self.explained.tolist(),
            "separation": {
                label: {stage: found._asdict() for stage, found in zip(STAGES, pair, strict=True)}
                for label, pair in self.separations.items()
            },
            "explained_by_neighbours": {
                name: dict(zip(STAGES, pair, strict=True)) for name, pair in self.neighbours.items()
            },
        }


def latent_space_of(subject, seed=0):
    """Look at the codes of a subject's tasks.

    The codes are the means that evaluation uses: the encoder's before, and those after all latent steps.

    Args:
      subject: subject.AnalysisTarget.
      seed: int, of t-SNE and UMAP.

    Returns:
      LatentSpace.

    Raises:
      InputError: the learner has no codes that an encoder makes.

    References:
      Paper section 4.5.
    """
    require_codes(subject)
    traced = [trace.latents for _, trace in subject.traces()]
    width = traced[0].shape[-1]
    codes = np.stack(
        [np.concatenate([np.asarray(each[step]).reshape(-1, width) for each in traced]) for step in (0, -1)]
    )
    count = len(subject.tasks)
    tasks = np.repeat(np.arange(count), codes.shape[1] // count)
    labels, values, rows = subject.labels, subject.values, subject.code_rows
    separated = {name: texts for name, texts in labels.items() if len(set(texts)) > 1}
    shown = min(codes.shape[1], _POINTS // 2)
    joined = codes[:, :shown].reshape(-1, width).astype(np.float64)
    pca = projection.pca(joined)
    laid = {"PCA": pca, "t-SNE": projection.tsne(joined, seed)}
    if projection.has_umap():
        laid["UMAP"] = projection.umap(joined, seed)
    return LatentSpace(
        codes=codes,
        tasks=tasks,
        labels=labels,
        values=values,
        layouts={name: each.points.reshape(2, -1, 2) for name, each in laid.items()},
        methods={name: each.method for name, each in laid.items()},
        explained=pca.explained,
        separations={
            name: tuple(separation(stage, texts, tasks, rows) for stage in codes) for name, texts in separated.items()
        },
        neighbours={
            name: tuple(explained_by_neighbours(stage, numbers, tasks, rows) for stage in codes)
            for name, numbers in values.items()
        },
    )


def require_codes(subject):
    """Raise InputError unless the learner encodes tasks."""
    if not subject.has_codes:
        raise InputError(
            f"This {subject.learner.algorithm} has no encoder, and so no latent space to look at; expected a LEO with "
            "codes_from=encoder."
        )
