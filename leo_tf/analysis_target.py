"""What analyses need of a problem: a learner and fixed tasks, seen alike in classification and regression."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from leo_tf.errors import InputError


class Spectra(NamedTuple):
    """Eigenvalues of the Hessian of the support loss, those that can differ from 0, ascending."""

    latents: Any  # [tasks, n] in the codes; None for a learner without codes
    parameters: Any  # [tasks or fewer, n] in the parameters


class AnalysisTarget:
    """A learner and fixed tasks, as analyses see them.

    Args:
      learner: MetaLearner.
      tasks: of its problem.
    """

    measures: Mapping[str, str] = MappingProxyType({})  # of `scores`: {name: axis label}

    def __init__(self, learner, tasks):
        self.learner, self.tasks = learner, tasks

    @property
    def labels(self) -> Mapping[str, Any]:
        """{name: text [codes]}: what each code is of, tasks after tasks."""
        raise NotImplementedError

    @property
    def values(self) -> Mapping[str, Any]:
        """{name: float [codes]}: numbers on what each code is of, NaN where there is none."""
        return {}

    @property
    def code_rows(self):
        """[codes, shots], by which codes of the same examples are told; None where no two tasks share an example."""
        return None

    @property
    def has_codes(self) -> bool:
        """Whether the learner adapts latent codes that an encoder made."""
        return getattr(self.learner, "encoder", None) is not None

    @property
    def has_decoder(self) -> bool:
        """Whether the learner decodes its parameters from codes."""
        return hasattr(self.learner, "decoder")

    def traces(self):
        """Yield (support, Trace) some tasks at a time.

        Raises:
          InputError: adaptation does not end in numbers.
        """
        for support in self.supports():
            trace = self.learner.trace(*support)
            if not np.isfinite(trace.parameters).all():
                raise InputError(
                    f"Adaptation of this {self.learner.algorithm} ends in NaN or infinity on some tasks; expected a "
                    "model that was trained and converged. Analyse another checkpoint or run."
                )
            yield support, trace

    def supports(self):
        """Yield the tasks' support sets (x, y) some tasks at a time, as the learner takes them."""
        raise NotImplementedError

    def spectra(self, support, trace, adapted) -> Spectra:
        """Return the Spectra of some tasks.

        Args:
          support: (x, y) from `supports`.
          trace: the learner's Trace of it.
          adapted: whether at the end of the latent steps and of all steps, or at the start.
        """
        raise NotImplementedError

    def expansion(self, trace):
        """Return the singular values of the decoder's mean, of its Jacobian at the first codes if it is not linear.

        Returns:
          [n] of a linear decoder, else [tasks, n]; descending.
        """
        raise NotImplementedError

    def scores(self) -> Mapping[str, Any]:
        """Return {measure: [steps + 1, tasks]} on the queries, at the start and after every step."""
        raise NotImplementedError
