"""Curvature and coverage: eigenvalues of the support loss's Hessian in latent and parameter space, lengths of steps."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from leo_tf.analysis_target import AnalysisTarget
from leo_tf.evaluation.progress import Progress
from leo_tf.learners.meta_learner import Trace

SPACES, POINTS = ("latents", "parameters"), ("start", "adapted")
_ORDERS, _EXPANSION, _PARTS = 1.5, 10.0, (5, 50)  # see `check_claims`


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Curvature and coverage of one model on some tasks.

    Spaces are "latents" and "parameters", points "start" and "adapted". Steps are "latent" steps, "induced" changes of
    the decoded parameters by latent steps, and "parameter" steps taken on the parameters directly.
    """

    name: str
    eigenvalues: Mapping[tuple[str, str], np.ndarray]  # {(space, point): [n]}, absolute, non-zero, of all tasks
    ranks: Mapping[tuple[str, str], np.ndarray]  # {(space, point): [tasks]}, the number of these eigenvalues per task
    singular_values: np.ndarray | None  # [n], of the decoder's mean; None without a decoder
    steps: Mapping[str, np.ndarray]  # {kind: [steps, tasks]}, Euclidean lengths of a task's steps


def measure_geometry(target: AnalysisTarget, name: str) -> Geometry:
    """Measure the Geometry of a target's learner, whose name is given.

    References:
      Paper section 4.6.
    """
    spectra: dict[tuple[str, str], list[np.ndarray]] = {}
    steps: dict[str, list[np.ndarray]] = {}
    singular: list[np.ndarray] = []
    with Progress(f"measuring curvature of {name}", len(target.tasks), "tasks") as progress:
        for support, trace in target.traces():
            for point in POINTS:
                for space, found in target.spectra(support, trace, point == "adapted")._asdict().items():
                    if found is not None:
                        spectra.setdefault((space, point), []).append(found)
            for kind, lengths in _step_lengths(trace).items():
                steps.setdefault(kind, []).append(lengths)
            if target.learner.has_latents:
                singular.append(target.singular_values(trace))
            progress.add(trace.parameters.shape[1])
    if singular:
        singular = singular[:1] if singular[0].ndim == 1 else [each.ravel() for each in singular]
    nonzero = {key: [_nonzero(part) for part in parts] for key, parts in spectra.items()}
    return Geometry(
        name,
        {key: np.concatenate([values for values, _ in parts]) for key, parts in nonzero.items()},
        {key: np.concatenate([ranks for _, ranks in parts]) for key, parts in nonzero.items()},
        np.concatenate(singular) if singular else None,
        {kind: np.concatenate(parts, axis=1) for kind, parts in steps.items()},
    )


def _nonzero(spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the absolute eigenvalues that are non-zero at the spectrum's precision, and the rank of each task."""
    magnitudes = np.abs(spectrum)
    limit = magnitudes.max(axis=1, keepdims=True) * magnitudes.shape[1] * np.finfo(magnitudes.dtype).eps
    chosen = magnitudes > limit
    return magnitudes[chosen].astype(np.float64), chosen.sum(axis=1)


def _step_lengths(trace: Trace) -> dict[str, np.ndarray]:
    def lengths(values: Any) -> np.ndarray:
        moves = np.diff(values.numpy().astype(np.float64), axis=0)
        return np.sqrt(np.sum(moves**2, axis=tuple(range(2, moves.ndim))))

    of_parameters = lengths(trace.parameters)
    if trace.latents is None:
        return {"parameter": of_parameters}
    latent = len(trace.latents) - 1
    found = {"latent": lengths(trace.latents), "induced": of_parameters[:latent], "parameter": of_parameters[latent:]}
    return {kind: values for kind, values in found.items() if len(values)}


class Claim(NamedTuple):
    """One of the paper's claims and the evidence for or against it."""

    claim: str
    finding: str
    holds: dict[str, bool]  # for each model, or pair of models

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        held = self.holds.values()
        return "Supported" if all(held) else "Partly supported" if any(held) else "Not supported"

    def summary(self) -> dict[str, Any]:
        """Return a plain dict for JSON."""
        return {**self._asdict(), "verdict": self.verdict.lower()}


def check_claims(geometries: Sequence[Geometry]) -> list[Claim]:
    """Check the paper's three claims on the Geometry of each model, on the same tasks.

    Returns:
      The claims that these models are evidence for or against. A model whose decoder is zero is none on curvature: its
      latent space is flat.

    References:
      Paper section 4.6. "About two orders of magnitude" is taken to hold from 1.5 orders on, between medians at the
      start; "at least one order" where 95 % of the singular values are above 10.
    """
    decoding = [each for each in geometries if each.singular_values is not None]
    curved = [each for each in decoding if all(each.eigenvalues[space, "start"].size for space in SPACES)]
    direct = [each for each in geometries if each.singular_values is None and np.median(each.steps["parameter"]) > 0]
    stepping = [each for each in decoding if "induced" in each.steps]
    evidence = {
        "Curvature is about two orders of magnitude higher in latent space than in parameter space.": [
            _curvature(each) for each in curved
        ],
        "The decoder expands space by at least one order of magnitude.": [_expansion(each) for each in decoding],
        "Small steps in latent space move the parameters further than steps taken in them directly.": [
            _steps(each, other) for each in stepping for other in direct
        ],
    }
    return [
        Claim(claim, " ".join(finding for _, finding, _ in found), {name: holds for name, _, holds in found})
        for claim, found in evidence.items()
        if found
    ]


def _curvature(model: Geometry) -> tuple[str, str, bool]:
    latent, direct = (float(np.median(model.eigenvalues[space, "start"])) for space in SPACES)
    orders = np.log10(latent / direct)
    finding = (
        f"{model.name}: the median non-zero absolute eigenvalue at the start is {latent:.3g} in latent and "
        f"{direct:.3g} in parameter space, {orders:.2f} orders of magnitude apart"
    )
    adapted = [model.eigenvalues[space, "adapted"] for space in SPACES]
    if all(values.size for values in adapted):
        latent, direct = map(np.median, adapted)
        finding += f"; after adaptation {latent:.3g} and {direct:.3g}, {np.log10(latent / direct):.2f} orders"
    return model.name, f"{finding}.", bool(orders >= _ORDERS)


def _expansion(model: Geometry) -> tuple[str, str, bool]:
    values = np.asarray(model.singular_values)
    low, middle = np.percentile(values, _PARTS).tolist()
    finding = (
        f"{model.name}: singular values from {values.min():.3g} to {values.max():.3g}, their median {middle:.3g}, 95 % "
        f"of them above {low:.3g}."
    )
    return model.name, finding, low >= _EXPANSION


def _steps(model: Geometry, other: Geometry) -> tuple[str, str, bool]:
    latent, induced = (float(np.median(model.steps[kind])) for kind in ("latent", "induced"))
    direct = float(np.median(other.steps["parameter"]))
    finding = (
        f"The median latent step of {model.name} is {latent:.3g} long and moves the parameters by {induced:.3g}; the "
        f"median step of {other.name} is {direct:.3g} long, a ratio of {induced / direct:.3g}."
    )
    return f"{model.name}, {other.name}", finding, latent < induced > direct
