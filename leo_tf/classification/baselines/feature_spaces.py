"""The spaces that baselines work in: embeddings as they are, and transformed by what training classes have shown."""

import dataclasses
import functools
import hashlib

import numpy as np

from leo_tf.classification.prototype_init import PLDA, choose_start
from leo_tf.data import transform

_ADJECTIVES = {"whiten": "whitened", "center": "centred", "plda": "PLDA"}


@dataclasses.dataclass(frozen=True, eq=False)
class Space:
    """A transform of embeddings.

    Attributes:
      adjective: what it makes of embeddings, "whitened"; empty where it leaves them as they are.
      mean, matrix: as `data.transform.fit_transform` returns them, or None.
    """

    adjective: str = ""
    mean: np.ndarray | None = None
    matrix: np.ndarray | None = None

    @functools.cached_property
    def digest(self):
        """SHA-256 in hex of the transform; empty where there is none."""
        if self.mean is None or self.matrix is None:
            return ""
        return hashlib.sha256(np.vstack([self.mean, self.matrix]).astype("<f4").tobytes()).hexdigest()

    def of(self, table):
        """Return an EmbeddingTable in this space."""
        return table if self.mean is None else transform.transformed(table, self.mean, self.matrix)


RAW = Space()


def space_of_model(model):
    """Return the Space of a classification learner's own transform; None where it has none."""
    own = model.feature_transform
    if own is None:
        return None
    return Space(_ADJECTIVES[model.config.feature_transform], own.mean.numpy(), own.matrix.numpy())


def whitened_by(table):
    """Return the Space that whitens by the scatter within the classes of an EmbeddingTable: the meta-training classes.

    Raises:
      InputError: no class has two different embeddings.
    """
    return Space(_ADJECTIVES["whiten"], *transform.fit_transform(table, "whiten"))


def plda_of(table, validation, ways, shots):
    """Return the Space of PLDA fitted to the meta-training classes, its shares chosen on validation tasks.

    Args:
      table, validation: EmbeddingTables of the meta-training and of the validation classes.
      ways, shots: of the tasks.

    Raises:
      InputError: no class has two different embeddings, or the validation classes have no such tasks.
    """
    start = choose_start(PLDA, table, validation, ways, shots)
    fitted = transform.fit_transform(table, "plda", start.shrinkage, start.between, shots)
    return Space(_ADJECTIVES["plda"], *fitted)
