"""Feature spaces that baselines work in: raw embeddings, and embeddings transformed by what base classes show."""

import dataclasses

from leo_tf.data import EmbeddingTable
from leo_tf.transforms import FittedTransform, principal_scatter, whitening


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureSpace:
    """A transform of embeddings."""

    adjective: str = ""  # describes transformed embeddings, "whitened"; empty for raw embeddings
    transform: FittedTransform | None = None

    def of(self, table: EmbeddingTable) -> EmbeddingTable:
        """Return an EmbeddingTable in this space; the digest stays that of the data."""
        if self.transform is None:
            return table
        rows = self.transform.apply(table.embeddings)
        return dataclasses.replace(table, embeddings=rows, source=f"{table.source}, {self.adjective}")


RAW = FeatureSpace()


def whitened_by(table: EmbeddingTable) -> FeatureSpace:
    """Return the FeatureSpace that whitens by the scatter within the classes of a table, the base classes."""
    return FeatureSpace("whitened", whitening(principal_scatter(table.embeddings, table.class_sizes)))
