"""Overlap of splits: a result on classes or examples that a model was trained on says nothing of new ones."""

import logging
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from leo_tf.data.conversion import refuse_shared_classes
from leo_tf.data.table import EmbeddingTable

_logger = logging.getLogger("leo_tf")
_TITLES = {"train": "training", "val": "validation", "test": "test"}


def refuse_shared_names(other: EmbeddingTable, table: EmbeddingTable) -> None:
    """Raise InputError if a class is in two splits of a data set.

    Names that are whole numbers are not compared: labels often count from 0 in every split.
    """
    names = [name for name in table.class_names if not name.removeprefix("-").isdecimal()]
    refuse_shared_classes(other.class_names, names, table.source)


def warn_of_shared_rows(
    split: str, table: EmbeddingTable, others: Mapping[str, EmbeddingTable] = MappingProxyType({})
) -> None:
    """Warn, in one line, of rows of a split that others have too, and of those that it has more than once.

    Args:
      split: "train", "val" or "test".
      table: EmbeddingTable of the split.
      others: EmbeddingTables of other splits, by split.
    """
    title, rows = _TITLES[split], _hashes(table)
    found = {
        f"{title} rows are also {_TITLES[other]} rows": np.isin(rows, _hashes(others[other])).sum() for other in others
    }
    found[f"{title} rows repeat another one"] = len(rows) - len(np.unique(rows))
    notes = [f"{count} of {len(rows)} {what}" for what, count in found.items() if count]
    if notes:
        _logger.warning("%s: %s.", table.source, "; ".join(notes))


def _hashes(table: EmbeddingTable) -> np.ndarray:
    """Return a hash of each row, int64 [rows]; of 64 bits, so that two different rows hardly ever share one."""
    return np.fromiter((hash(row.tobytes()) for row in table.embeddings), np.int64, table.num_rows)
