"""Parts of baselines that are fitted to the base classes, the meta-training classes of a run, and to no others."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from leo_tf.classification.baselines.feature_spaces import FeatureSpace, whitened_by
from leo_tf.classification.baselines.plda import plda_baselines
from leo_tf.classification.baselines.registry import Baseline, lda_of
from leo_tf.classification.tasks import Tasks
from leo_tf.data import EmbeddingTable
from leo_tf.errors import InputError

_logger = logging.getLogger("leo_tf")
_Fitted = TypeVar("_Fitted")


class BaseClasses:
    """The base classes of a run, read when first needed; a warning says why something cannot be fitted.

    Of the tables that the loaders return, the first one with this digest is used; None if the run did not record it.
    """

    def __init__(self, digest: str | None, loaders: Sequence[Callable[[], EmbeddingTable]]) -> None:
        self._digest, self._loaders = digest, loaders
        self._reasons: list[str] = []  # why there is no table

    @functools.cached_property
    def table(self) -> EmbeddingTable | None:
        """The EmbeddingTable; None if it cannot be read, or is not the one that the run was trained on."""
        digest, loaders = self._digest or "", self._loaders if self._digest else ()
        self._reasons = [] if loaders else ["the run did not record the data that it was trained on."]
        for load in loaders:
            try:
                table = load()
            except InputError as error:
                self._reasons.append(str(error))
                continue
            if table.digest == digest:
                return table
            self._reasons.append(
                f"{table.source} has sha256 {table.digest[:12]}..., the run was trained on {digest[:12]}...."
            )
        return None

    @functools.cached_property
    def whitened(self) -> FeatureSpace | None:
        return self._fitted(whitened_by)

    @functools.cached_property
    def lda(self) -> Baseline | None:
        return self._fitted(lda_of)

    def plda(self, validation: EmbeddingTable, tasks: Tasks) -> list[tuple[Baseline, FeatureSpace]]:
        """Return the baselines of their PLDA, chosen on Tasks of validation classes; none if it cannot be fitted."""
        return self._fitted(lambda table: list(plda_baselines(table, validation, tasks))) or []

    @functools.cached_property
    def _table_to_fit(self) -> EmbeddingTable | None:
        if self.table is None:
            what = "Baselines fitted to the meta-training classes (whitened, PLDA, LDA)"
            _logger.warning("%s are left out: %s", what, self._reasons[0])
        return self.table

    def _fitted(self, fit: Callable[[EmbeddingTable], _Fitted]) -> _Fitted | None:
        if self._table_to_fit is None:
            return None
        try:
            return fit(self._table_to_fit)
        except InputError as error:
            _logger.warning("A baseline fitted to the meta-training classes is left out: %s", error)
            return None
