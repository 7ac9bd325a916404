"""Interface of a learner and fixed tasks to the analyses, the same for classification and regression."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf.errors import InputError
from leo_tf.learners.meta_learner import Trace

Support = tuple[tf.Tensor, tf.Tensor]  # x and y of some tasks, as the learner's `trace` takes them


class Spectra(NamedTuple):
    """Ascending eigenvalues of the Hessian of the support loss, without those that are zero by its rank."""

    latents: np.ndarray | None  # [tasks, n], in the codes; None for a learner without codes
    parameters: np.ndarray  # [tasks, n], in the parameters; may be of the first tasks only


class AnalysisTarget:
    """A learner and fixed tasks to analyse."""

    measures: Mapping[str, str] = MappingProxyType({})  # {name in `scores`: axis label}

    def __init__(self, learner: Any, tasks: Any) -> None:
        self.learner, self.tasks = learner, tasks

    @property
    def labels(self) -> Mapping[str, np.ndarray]:
        """{name: text [codes]}, task after task: what each code stands for."""
        raise NotImplementedError

    @property
    def values(self) -> Mapping[str, np.ndarray]:
        """{name: float [codes]}: properties of what each code stands for, NaN where it has none."""
        return {}

    @property
    def code_rows(self) -> np.ndarray | None:
        """The examples of each code, [codes, shots]; None where no two tasks share an example."""
        return None

    def traces(self) -> Iterator[tuple[Support, Trace]]:
        """Yield (support, Trace), a few tasks at a time; raises InputError where adaptation ends in NaN or infinity."""
        for support in self.supports():
            trace = self.learner.trace(*support)
            if not np.isfinite(trace.parameters).all():
                raise InputError(
                    f"Adaptation of this {self.learner.algorithm} ends in NaN or infinity on some tasks; expected a "
                    "trained model whose training converged. Analyse another checkpoint or run."
                )
            yield support, trace

    def supports(self) -> Iterator[Support]:
        """Yield the tasks' support sets, a few tasks at a time."""
        raise NotImplementedError

    def spectra(self, support: Support, trace: Trace, adapted: bool) -> Spectra:
        """Return the Spectra of some tasks, from `traces`.

        adapted: take codes after the latent steps and parameters after all steps; otherwise both at the start.
        """
        raise NotImplementedError

    def singular_values(self, trace: Trace) -> np.ndarray:
        """Return the singular values of the decoder, [n], descending; if not linear, of its Jacobian, [tasks, n]."""
        raise NotImplementedError

    def scores(self) -> Mapping[str, np.ndarray]:
        """Return {measure: [steps + 1, tasks]} on the queries, at the start and after every step."""
        raise NotImplementedError
