"""Curvature and coverage: how the support loss bends in latent and in parameter space, and how far steps go."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from leo_tf.evaluation.progress import Progress

SPACES, POINTS = ("latents", "parameters"), ("start", "adapted")
_ORDERS, _EXPANSION, _PARTS = 1.5, 10.0, (5, 50)  # see `claims`


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Of one model on some tasks.

    Attributes:
      name: of the model.
      eigenvalues: {(space, point): [n]}, absolute eigenvalues, not zero, of the Hessian of the support loss, all tasks
        together.
      ranks: {(space, point): [tasks]}, how many a task has.
      singular_values: of the decoder's mean, [n]; None without a decoder.
      steps: {kind: [steps, tasks]}, Euclidean lengths over all of a task: "latent" of latent steps, "induced" of what
        they do to the decoded parameters, "parameter" of steps on the parameters themselves.
    """

    name: str
    eigenvalues: Mapping[tuple[str, str], np.ndarray]
    ranks: Mapping[tuple[str, str], np.ndarray]
    singular_values: np.ndarray | None
    steps: Mapping[str, np.ndarray]


def geometry_of(subject, name):
    """Measure a learner's Geometry.

    Args:
      subject: subject.AnalysisTarget.
      name: of the model.

    Returns:
      Geometry.

    References:
      Paper section 4.6.
    """
    spectra: dict[tuple[str, str], list[Any]] = {}
    steps: dict[str, list[Any]] = {}
    singular = []
    for support, trace in _with_progress(subject, name):
        for point in POINTS:
            for space, found in subject.spectra(support, trace, point == "adapted")._asdict().items():
                if found is not None:
                    spectra.setdefault((space, point), []).append(found)
        for kind, lengths in _step_lengths(trace).items():
            steps.setdefault(kind, []).append(lengths)
        if subject.has_decoder:
            singular.append(subject.expansion(trace))
    if singular:
        singular = singular[:1] if singular[0].ndim == 1 else [each.ravel() for each in singular]
    whole = {key: [_not_zero(part) for part in parts] for key, parts in spectra.items()}
    return Geometry(
        name,
        {key: np.concatenate([values for values, _ in parts]) for key, parts in whole.items()},
        {key: np.concatenate([ranks for _, ranks in parts]) for key, parts in whole.items()},
        np.concatenate(singular) if singular else None,
        {kind: np.concatenate(parts, axis=1) for kind, parts in steps.items()},
    )


def _with_progress(subject, name):
    with Progress(f"measuring curvature of {name}", len(subject.tasks), "tasks") as progress:
        for support, trace in subject.traces():
            yield support, trace
            progress.add(trace.parameters.shape[1])


def _not_zero(spectrum):
    """Return the absolute eigenvalues that are not zero for the precision they have, and the rank of each task."""
    magnitudes = np.abs(spectrum)
    limit = magnitudes.max(axis=1, keepdims=True) * magnitudes.shape[1] * np.finfo(magnitudes.dtype).eps
    chosen = magnitudes > limit
    return magnitudes[chosen].astype(np.float64), chosen.sum(axis=1)


def _step_lengths(trace):
    def lengths(values):
        moves = np.diff(values.numpy().astype(np.float64), axis=0)
        return np.sqrt(np.sum(moves**2, axis=tuple(range(2, moves.ndim))))

    of_parameters = lengths(trace.parameters)
    if trace.latents is None:
        return {"parameter": of_parameters}
    latent = len(trace.latents) - 1
    found = {"latent": lengths(trace.latents), "induced": of_parameters[:latent], "parameter": of_parameters[latent:]}
    return {kind: values for kind, values in found.items() if len(values)}


class Claim(NamedTuple):
    """One of the paper's claims and what our numbers say of it."""

    claim: str
    finding: str
    holds: dict[str, bool]  # for each model, or pair of models

    @property
    def verdict(self) -> str:
        """In words."""
        return "Borne out" if all(self.holds.values()) else "In part" if any(self.holds.values()) else "Not borne out"

    def summary(self):
        """Return a plain dict, for JSON."""
        return {**self._asdict(), "verdict": self.verdict.lower()}


def claims(geometries):
    """Judge the paper's three claims.

    Args:
      geometries: list of Geometry on the same tasks.

    Returns:
      List of Claim, those that these models can say something on.

    A model whose decoder is zero has nothing to say on curvature: its latent space is flat.

    References:
      Paper section 4.6. "About two orders of magnitude" is taken to hold from 1.5 orders on, between medians at the
      start; "at least one order" where 95 % of the singular values are above 10.
    """
    decoding = [each for each in geometries if each.singular_values is not None]
    bent = [each for each in decoding if all(each.eigenvalues[space, "start"].size for space in SPACES)]
    direct = [each for each in geometries if each.singular_values is None and np.median(each.steps["parameter"]) > 0]
    stepping = [each for each in decoding if "induced" in each.steps]
    judged = {
        "Curvature is about two orders of magnitude higher in latent space than in parameter space.": [
            _curvature(each) for each in bent
        ],
        "The decoder expands space by at least one order of magnitude.": [_expansion(each) for each in decoding],
        "Small steps in latent space move the parameters further than steps taken in them directly.": [
            _steps(each, other) for each in stepping for other in direct
        ],
    }
    return [
        Claim(claim, " ".join(finding for _, finding, _ in found), {name: holds for name, _, holds in found})
        for claim, found in judged.items()
        if found
    ]


def _curvature(model):
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


def _expansion(model):
    low, middle = (float(v) for v in np.percentile(model.singular_values, _PARTS))
    least, most = float(model.singular_values.min()), float(model.singular_values.max())
    finding = (
        f"{model.name}: singular values from {least:.3g} to {most:.3g}, their median {middle:.3g}, 95 % of them above "
        f"{low:.3g}."
    )
    return model.name, finding, low >= _EXPANSION


def _steps(model, other):
    latent, induced = (float(np.median(model.steps[kind])) for kind in ("latent", "induced"))
    direct = float(np.median(other.steps["parameter"]))
    finding = (
        f"The median latent step of {model.name} is {latent:.3g} long and moves the parameters by {induced:.3g}; the "
        f"median step of {other.name} is {direct:.3g} long, a ratio of {induced / direct:.3g}."
    )
    return f"{model.name}, {other.name}", finding, latent < induced > direct
