"""What a study is to do: where it starts, what it varies, and how."""

import dataclasses
from pathlib import Path

import optuna

from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.search.objective import Objective
from leo_tf.search.sampling import SAMPLERS
from leo_tf.search.space import Space

PRUNERS = ("none", "asha")
_REDUCTION = 3  # a rung lets one in so many go on


@dataclasses.dataclass(frozen=True)
class Plan:
    """A search.

    Raises:
      InputError: there is nothing to judge trials by.
    """

    start: RunConfig  # what is not searched
    space: Space
    objective: Objective
    sampler: str = SAMPLERS[0]
    pruner: str = PRUNERS[0]
    seed: int = 0

    def __post_init__(self):
        if not self.start.training.metavalid_tasks:
            raise InputError("metavalid_tasks=0 was given; a search judges trials by their validation tasks.")

    def config(self, values, seed):
        """Return the RunConfig of a trial, whose validation tasks are those of all others.

        Args:
          values: {setting: value}, from the space.
          seed: of its training.

        Raises:
          InputError: the values do not go together.
        """
        shared = {"metavalid_seed": self.start.training.validation_seed}
        return self.start.with_settings({**shared, **values, "seed": seed})

    def make_pruner(self):
        """Return Optuna's pruner, which sees validations."""
        if self.pruner == "none":
            return optuna.pruners.NopPruner()
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=self.start.training.checkpoint_steps, reduction_factor=_REDUCTION
        )

    def record(self):
        """Return what makes a study another one, for JSON."""
        return {
            "start": self.start.to_json(),
            "steps": self.start.training.num_steps_limit,
            "space": self.space.record(),
            "objective": self.objective.name,
            "sampler": self.sampler,
            "pruner": self.pruner,
            "seed": self.seed,
        }


def run_folder(folder, number, again=0):
    """Return the run folder of a trial of the study in `folder`, or of its repetition `again`."""
    name = f"trial-{number:03}" + (f"-again-{again}" if again else "")
    return Path(folder) / ("again" if again else "trials") / name
