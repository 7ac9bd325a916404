"""Interface of what the Trainer trains."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import tensorflow as tf

from leo_tf.problem import Initialization, Validation


class Work(Protocol):
    """A model with its optimizers, data and validation, which the Trainer trains: meta-training or pre-training.

    With many workers, all of them call `initialize`, `step` and `validate`.
    """

    config: Any  # with to_json, from_json, differences, changes and resumed_from
    settings: Any  # with num_steps_limit, checkpoint_steps, log_steps, patience
    data_record: Mapping[str, Any]  # description of the training data, for JSON
    attachments: Mapping[str, Path] = MappingProxyType({})  # files that the run keeps: {name in its directory: path}
    measured: Any  # a Problem or alike, with measure, higher_is_better, other_measures, text and advice
    optimizer: Any  # of Keras; its iterations count the steps
    state: Mapping[str, Any]  # what checkpoints hold
    columns: tuple[str, ...]  # names of what `step` returns
    validates_at_start: bool = False  # the settings then have metavalid_tasks
    signal: int = 0  # number of a signal that reached another worker; it ends the run like one of its own
    validate: Callable[[], Validation] | None = None  # validate the current state; None without validation

    @property
    def variables(self) -> Mapping[str, Any]:
        """Trained variables by name, in the order of the gradient norms that `step` returns."""

    @property
    def rates(self) -> Mapping[str, Any]:
        """Meta-learned learning rates by name."""
        return {}

    @property
    def outer_lr(self) -> float:
        """Learning rate of the optimizer at this step."""
        return float(tf.convert_to_tensor(self.optimizer.learning_rate))

    @property
    def steps_taken(self) -> int:
        """Steps since the run began."""
        return int(self.optimizer.iterations.numpy())

    def initialize(self, previous: Initialization | None = None) -> Initialization:
        """Prepare for training, before any checkpoint is restored; `previous` is what a resumed run chose."""
        return Initialization()

    def warm_start(self) -> bool:
        """Change the initial state of a new run, if the configuration says so; return whether it did."""
        return False

    def step(self, count: int) -> dict[str, Any]:
        """Take steps; return means of `columns` over them, and `gradient_norms`, a NumPy array [variables]."""
