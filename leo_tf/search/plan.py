"""Plan of a study: the base configuration, the search space, and how trials are drawn and pruned."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.search.objective import Objective
from leo_tf.search.sampling import SAMPLERS
from leo_tf.search.space import Space

PRUNERS = ("none", "asha")
_REDUCTION_FACTOR = 3  # a rung promotes one trial in this many


@dataclasses.dataclass(frozen=True)
class Plan:
    """Plan of a study.

    Raises:
      InputError: there are no validation tasks to compare trials by.
    """

    base: RunConfig  # settings that are not searched
    space: Space
    objective: Objective
    sampler: str = SAMPLERS[0]
    pruner: str = PRUNERS[0]
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.base.training.metavalid_tasks:
            raise InputError(
                "metavalid_tasks=0 was given; a search compares trials by their validation tasks.", "metavalid_tasks"
            )

    def config(self, settings: Mapping[str, Any], seed: int) -> RunConfig:
        """Return the RunConfig of a trial; all trials share their validation tasks.

        Args:
          settings: {name: value}, from the space.
          seed: of its training.

        Raises:
          InputError: the values are incompatible.
        """
        shared = {"metavalid_seed": self.base.training.validation_seed}
        return self.base.with_settings({**shared, **settings, "seed": seed})

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


def run_folder(study_folder: Path, number: int, rerun: int = 0) -> Path:
    """Return the run folder of a trial or, from 1, of one of its reruns."""
    if rerun:
        return study_folder / "reruns" / f"trial-{number:03}-rerun-{rerun}"
    return study_folder / "trials" / f"trial-{number:03}"
