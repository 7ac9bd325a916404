"""Feature spaces that baselines work in: raw embeddings, and embeddings transformed by what base classes show."""

import dataclasses
import functools
import hashlib
from typing import Any

import numpy as np

from leo_tf.classification.prototype_init import InitializationData, choose
from leo_tf.config import ProtoLEOConfig
from leo_tf.data import EmbeddingTable
from leo_tf.transforms import FittedTransform, fit_transform

_ADJECTIVES = {"whiten": "whitened", "center": "centred", "plda": "PLDA"}
_PLDA = ProtoLEOConfig(prototype_bias=1.0, support_temperature=1.0, query_dropout="none")  # nearest class mean


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureSpace:
    """A transform of embeddings."""

    adjective: str = ""  # describes transformed embeddings, "whitened"; empty for raw embeddings
    transform: FittedTransform | None = None

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 in hex of the transform; empty if there is none."""
        if self.transform is None:
            return ""
        return hashlib.sha256(np.vstack(self.transform).astype("<f4").tobytes()).hexdigest()

    def of(self, table: EmbeddingTable) -> EmbeddingTable:
        """Return an EmbeddingTable in this space; the digest stays that of the data."""
        if self.transform is None:
            return table
        rows = self.transform.apply(table.embeddings)
        return dataclasses.replace(table, embeddings=rows, source=f"{table.source}, {self.adjective}")


RAW = FeatureSpace()


def space_of_model(model: Any) -> FeatureSpace | None:
    """Return the FeatureSpace of a classification learner's own transform; None if it has none."""
    own = model.feature_transform
    if own is None or own.kind == "none":
        return None
    return FeatureSpace(_ADJECTIVES[own.kind], own.fitted)


def whitened_by(table: EmbeddingTable) -> FeatureSpace:
    """Return the FeatureSpace that whitens by the scatter within the classes of a table, the base classes."""
    return FeatureSpace(_ADJECTIVES["whiten"], fit_transform("whiten", table.embeddings, table.class_sizes))


def plda_of(table: EmbeddingTable, validation: EmbeddingTable, ways: int, shots: int) -> FeatureSpace:
    """Return the FeatureSpace of PLDA fitted to the base classes, its shrinkages chosen on validation tasks."""
    chosen, _ = choose(_PLDA, InitializationData(table, validation, ways, shots, "all"), finetuning_steps=0)
    shrinkages = chosen["within_class_shrinkage"], chosen["between_class_shrinkage"]
    fitted = fit_transform("plda", table.embeddings, table.class_sizes, *shrinkages, shots)
    return FeatureSpace(_ADJECTIVES["plda"], fitted)
