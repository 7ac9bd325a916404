"""What baselines take from the meta-training classes of a run, and from no other class."""

import functools
import logging

from leo_tf.classification.baselines.feature_spaces import plda_of, whitened_by
from leo_tf.classification.baselines.registry import lda_of
from leo_tf.errors import InputError

_logger = logging.getLogger("leo_tf")


class TrainingClasses:
    """The meta-training classes of a run, read when first needed; what cannot be had is said in one line.

    Args:
      digest: of the table that the run was trained on, as the run recorded it; None where it did not.
      loads: functions without arguments that may return that table; the first whose table has the digest is used.
    """

    def __init__(self, digest, loads):
        self._digest, self._loads = digest, loads

    @functools.cached_property
    def table(self):
        """The EmbeddingTable; None where it cannot be read, or is not what the run was trained on."""
        reasons = [] if self._digest and self._loads else ["the run did not record on what it was trained."]
        for load in self._loads if self._digest else ():
            try:
                table = load()
            except InputError as error:
                reasons.append(str(error))
                continue
            if table.digest == self._digest:
                return table
            reasons.append(
                f"{table.source} has sha256 {table.digest[:12]}..., the run was trained on {self._digest[:12]}...."
            )
        _logger.warning("Nothing is whitened by the meta-training classes, and there is no LDA: %s", reasons[0])
        return None

    @functools.cached_property
    def whitened(self):
        """The Space that they whiten, or None."""
        return self._made(whitened_by)

    @functools.cached_property
    def lda(self):
        """The Baseline of LDA with their covariance, or None."""
        return self._made(lda_of)

    def plda(self, validation, ways, shots):
        """Return the Space of their PLDA, chosen on tasks of the validation classes, or None."""
        return self._made(lambda table: plda_of(table, validation, ways, shots))

    def _made(self, make):
        if self.table is None:
            return None
        try:
            return make(self.table)
        except InputError as error:
            _logger.warning("Nothing is whitened by the meta-training classes: %s", error)
            return None
