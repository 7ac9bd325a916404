"""Plan of a study: base configuration, search space and objective, and how trials are drawn and pruned."""

import dataclasses
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import optuna

from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.runs.metrics import Progress
from leo_tf.search.space import Space

_REDUCTION_FACTOR = 3  # a rung promotes one trial in this many


class Objective(NamedTuple):
    """Validation measure to search by."""

    name: str  # in the validations' numbers
    measure: str  # by which a run chooses its best checkpoint
    higher_is_better: bool

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        return "maximize" if self.higher_is_better else "minimize"

    def value(self, progress: Progress) -> float | None:
        """Return the objective at the best checkpoint of a run; None if no validation was a number."""
        best = progress.best(self.measure, self.higher_is_better)
        return best[1][self.name] if best else None

    def text(self, value: float) -> str:
        """Format a value of the objective."""
        return f"{100 * value:.2f} %" if self.name == "accuracy" else f"{value:.4f}"

    def measure_text(self, value: float) -> str:
        """Format a value of the measure."""
        return self._replace(name=self.measure).text(value)


_OBJECTIVES = {
    "classification": {"accuracy": Objective("accuracy", "accuracy", True)},
    "regression": {"mse": Objective("mse", "mse", False), "crps": Objective("crps", "mse", False)},
}


def get_objective(problem: str, name: str = "") -> Objective:
    """Return the objective of this name; the problem's own measure if the name is empty."""
    known = _OBJECTIVES[problem]
    if name and name not in known:
        expected = f"{' or '.join(known)} with problem={problem}"
        raise InputError(f"Got objective={name}; expected {expected}.", "objective")
    return known[name or next(iter(known))]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Plan of a study."""

    base: RunConfig  # settings that are not searched
    space: Space
    objective: Objective
    sampler: str = "random"  # or "tpe"
    pruner: str = "none"  # or "asha"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.base.training.metavalid_tasks:
            raise InputError(
                "metavalid_tasks=0 was given; a search compares trials by their validation tasks.", "metavalid_tasks"
            )

    def config(self, settings: Mapping[str, Any], seed: int) -> RunConfig:
        """Return the RunConfig of a trial, or raise InputError; all trials share their validation tasks."""
        shared = {"metavalid_seed": self.base.training.validation_seed}
        return self.base.with_settings({**shared, **settings, "seed": seed})

    def make_sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Return Optuna's sampler for the trial of this number."""
        if self.sampler == "random":
            return SeededRandomSampler(self.seed)
        return optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=derive_seed(self.seed, number))

    def make_pruner(self) -> optuna.pruners.BasePruner:
        """Return Optuna's pruner, to which validations are reported."""
        if self.pruner == "none":
            return optuna.pruners.NopPruner()
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=self.base.training.checkpoint_steps, reduction_factor=_REDUCTION_FACTOR
        )

    def record(self) -> dict[str, Any]:
        """Return what identifies a study, for JSON."""
        return {
            "base": self.base.to_json(),
            "steps": self.base.training.num_steps_limit,
            "space": self.space.record(),
            "objective": self.objective.name,
            "sampler": self.sampler,
            "pruner": self.pruner,
            "seed": self.seed,
        }


class SeededRandomSampler(optuna.samplers.RandomSampler):
    """Random search in which every draw is a function of (study seed, trial number, setting).

    So a study is the same however many commands share it and however often they are interrupted.
    """

    def __init__(self, seed: int):
        super().__init__(seed)
        self._study_seed = seed

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        seed = derive_seed(self._study_seed, trial.number, zlib.crc32(param_name.encode()))
        sampler = optuna.samplers.RandomSampler(seed)
        return sampler.sample_independent(study, trial, param_name, param_distribution)


def derive_seed(*numbers: int) -> int:
    """Return a seed below 2^32 that is a function of these whole numbers, each at least 0."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def run_folder(study_folder: Path, number: int, rerun: int = 0) -> Path:
    """Return the run folder of a trial or, from 1, of one of its reruns."""
    if rerun:
        return study_folder / "reruns" / f"trial-{number:03}-rerun-{rerun}"
    return study_folder / "trials" / f"trial-{number:03}"
