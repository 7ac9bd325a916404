"""Meta-training of a run's learner, as work for the Trainer."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from leo_tf.config import RunConfig, TrainingConfig
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.learners import ADAM_EPSILON
from leo_tf.problem import Initialization
from leo_tf.runs.registry import problem_of
from leo_tf.training.step import MetaSteps, compiles, terms_of
from leo_tf.training.strategy import describe, make_strategy
from leo_tf.training.warm_start import named_variables, start_from
from leo_tf.training.work import Work


class MetaTraining(Work):
    """The learner, optimizer, tasks and validation of a RunConfig.

    Args:
      config: RunConfig.
      collectives: Collectives of many workers, all of which build this work; None for one process.

    Raises:
      InputError: the data are missing, do not fit, or differ from another worker's.

    Example:
      >>> work = leo_tf.MetaTraining(
      ...     leo_tf.RunConfig(leo_tf.LEOConfig(1, 1), leo_tf.config.DataConfig(dataset_name="glyphs"))
      ... )
      >>> sorted(work.rates), work.steps_taken
      (['finetuning_learning_rate', 'latent_learning_rate'], 0)
    """

    def __init__(self, config: RunConfig, collectives: Any = None) -> None:
        self.config, self.settings = config, config.training
        self.measured = self.problem = problem_of(config)
        self.data_record, self.attachments = self.problem.data_record, self.problem.attachments
        self._workers = collectives or SINGLE_PROCESS
        self._workers.assert_equal(self.data_record)
        self._strategy = make_strategy(
            self.settings.distribution, self.settings.metatrain_batch_size, collectives=collectives
        )
        with self._strategy.scope():
            self.learner = self.problem.build_learner(self.data_record, self.settings.seed)
            self.optimizer = keras.optimizers.Adam(_learning_rate(self.settings), epsilon=ADAM_EPSILON)
            self.optimizer.build(self.learner.meta_variables)
        self.state = {"model": self.learner, "optimizer": self.optimizer}
        self.columns, self.validates_at_start = terms_of(self.learner), self.settings.metavalid_at_start
        self._steps: MetaSteps | None = None

    def initialize(self, previous: Initialization | None = None) -> Initialization:
        """Initialise the learner, see `Problem.initialize`; then make the tasks and the validation."""
        if self._workers.is_chief:
            previous = self.problem.initialize(self.learner, previous)
        chosen = self._workers.broadcast(previous.record() if previous else None)
        initialization = previous or self.problem.initialize(self.learner, Initialization(**chosen))
        with self._strategy.scope():
            samplers = self.problem.make_samplers(self.learner)
        self._steps = MetaSteps(self.learner, self.optimizer, samplers, self._strategy, self.settings)
        self.validate = self.problem.make_validator(self.learner, self._workers)
        return initialization

    @property
    def variables(self) -> Mapping[str, Any]:
        return named_variables(self.learner)

    @property
    def rates(self) -> Mapping[str, Any]:
        return {rate.name: rate for rate in self.learner.learning_rates}

    def devices(self) -> str:
        """Return one line on the devices that the run computes on."""
        precision, settings = self.learner.compute_dtype, self.settings
        line = f"{describe(self._strategy)}, {precision}, XLA {'on' if compiles(settings.jit) else 'off'}"
        if settings.distribution == "mirrored" and self._strategy.num_replicas_in_sync == 1:
            line += "; distribution=mirrored finds one device, and trains on it as distribution=none does"
        return line

    def warm_start(self) -> bool:
        """Take over the weights of the run that `init_from` names; return whether it names one."""
        if not self.settings.init_from:
            return False
        start_from(self.learner, self.config)  # outside the strategy's scope: of many workers only the chief calls this
        return True

    def step(self, count: int) -> dict[str, Any]:
        if self._steps is None:
            self.initialize()
        assert self._steps is not None  # for mypy
        metrics = self._steps.run(tf.constant(count))
        norms = metrics.pop("gradient_norms").numpy()
        return {**{name: float(value) for name, value in metrics.items()}, "gradient_norms": norms}


def _learning_rate(training: TrainingConfig) -> Any:
    if training.outer_lr_schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(training.outer_lr, max(1, training.num_steps_limit))
    return training.outer_lr
