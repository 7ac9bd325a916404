"""The outer loop of a run: step, log, validate, keep the best, save, resume."""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

from leo_tf.errors import InputError
from leo_tf.problem import Validation
from leo_tf.runs.run_dir import RunDirectory
from leo_tf.training.checkpoints import Checkpoints, writing
from leo_tf.training.monitoring import Monitor
from leo_tf.training.signals import SignalCatcher
from leo_tf.training.work import Work

_AFTER_NAN = (
    "Train again with lower learning rates, in regression also with an inner_gradient_norm_threshold, and another "
    "checkpoint_path."
)
_logger = logging.getLogger("leo_tf")


class Interrupted(Exception):
    """A signal stopped the run after a checkpoint; `signum` says which."""

    def __init__(self, signum: int, step: int) -> None:
        super().__init__(f"Stopped by signal {signum} at step {step}; rerun the command to resume.")
        self.signum = signum


class Trainer:
    """Train in a run directory, from the beginning or from the last checkpoint.

    A run that was interrupted or killed and then resumed has bit-identical weights to one that was not, on the same
    machine: every random draw is a function of the step, and steps after the last checkpoint are simply repeated.

    Args:
      work: Work, such as MetaTraining.
      checkpoint_path: the run directory.
      on_validation: called after every validation with (step, Validation); an exception in it ends the run, which can
        be resumed.

    Example:
      >>> from leo_tf.config import DataConfig, TrainingConfig
      >>> training = TrainingConfig(num_steps_limit=2, metavalid_tasks=2, metavalid_queries=5, jit="off")
      >>> config = leo_tf.RunConfig(leo_tf.LEOConfig(1, 1), DataConfig(dataset_name="glyphs"), training=training)
      >>> leo_tf.Trainer(leo_tf.MetaTraining(config), "runs/short").run()
      2
    """

    def __init__(
        self, work: Work, checkpoint_path: str | Path, on_validation: Callable[[int, Validation], None] | None = None
    ) -> None:
        self.work, self.folder = work, RunDirectory(checkpoint_path, type(work.config))
        self._on_validation = on_validation
        self.checkpoints = Checkpoints(self.folder, work)

    def run(self) -> int:
        """Train up to the step limit, or until early stopping; return the number of steps taken in this call.

        Raises:
          Interrupted: SIGINT or SIGTERM came; the state is saved.
          InputError: the directory belongs to another run, another process trains in it, it cannot be written, its
            checkpoints are corrupt, every step or every validation of this call was NaN, or a new run cannot be
            initialised.
        """
        self.folder.refuse_other(self.work.config)
        with self.folder.locked():
            resumes = self.checkpoints.exist
            initialization = self.work.initialize(self.folder.initialization() if resumes else None)
            if initialization.chosen and not resumes:
                _logger.info("Chosen on validation tasks: %s.", initialization)
            warm = not resumes and self.work.warm_start()
            config = self.work.config.resumed_from(self.folder.config()) if resumes else self.work.config
            changes = self.folder.changes(config)
            self.folder.claim(config, self.work.data_record, initialization)
            self.folder.attach(self.work.attachments)
            first = self.checkpoints.restore()
            if warm:
                self.checkpoints.save()  # from here on the run does not need the other one
            self.folder.record_changes(changes, first)
            if self.checkpoints.best_is_lost():
                self._keep_best(self.work.validate() if self.work.validate else None)
                self.checkpoints.save()
            last = self.work.settings.num_steps_limit
            if first < last and not self.is_out_of_patience:
                self._train(first, last)
            if self.checkpoints.best[1] < 0:
                raise InputError(
                    f"Trained {self.checkpoints.step} steps in {self.folder.path}, and every validation was NaN: there "
                    f"is no best checkpoint. {_AFTER_NAN}"
                )
            return self.checkpoints.step - first

    @property
    def is_out_of_patience(self) -> bool:
        """Whether early stopping ends the run at this step: `patience` validations without improvement."""
        settings, step = self.work.settings, self.checkpoints.step
        waited = step - max(0, self.checkpoints.best[1])
        return 0 < settings.patience * settings.checkpoint_steps <= waited and step % settings.checkpoint_steps == 0

    def _keep_best(self, validation: Validation | None) -> None:
        if validation is None:
            self.checkpoints.keep_as_best()
        else:
            self.checkpoints.offer_best(validation.interval.mean, validation.scores)

    def _train(self, first: int, last: int) -> None:
        if first:
            _logger.info("Resuming %s from step %d.", self.folder.path, first)
        with writing(self.folder.path):
            monitor = Monitor(self.folder, self.work, first, last)
        try:
            with SignalCatcher() as signals:
                nan_steps, validated = self._loop(first, last, monitor, signals)
            if math.isfinite(self.checkpoints.best[0]):
                with writing(self.folder.path):
                    monitor.finish(*self.checkpoints.best)
        finally:
            with writing(self.folder.path):
                monitor.close()
        if nan_steps == self.checkpoints.step - first:
            raise InputError(
                f"The loss or a gradient was NaN in all {nan_steps} steps; nothing was learned. {_AFTER_NAN}"
            )
        if not validated and self.checkpoints.best[1] >= 0:
            raise InputError(
                f"From step {first} to {self.checkpoints.step} every validation was NaN; the best checkpoint is an "
                f"earlier one. {_AFTER_NAN}"
            )

    def _loop(self, step: int, last: int, monitor: Monitor, signals: SignalCatcher) -> tuple[int, bool]:
        """Take all steps; return how many were NaN, and whether a validation was a number (or there is none)."""
        nan_steps, validated = 0, self.work.validate is None
        every, log_every = self.work.settings.checkpoint_steps, self.work.settings.log_steps
        is_due = step % every == 0 if step else self.work.validates_at_start
        if is_due and not validated and not monitor.has_validation:
            validated = self._validate(step, monitor)
        while step < last:
            # Rows end at the same steps whether or not the run was interrupted.
            until = min(last, step - step % log_every + log_every, step - step % every + every)
            start = time.perf_counter()
            metrics = self.work.step(until - step)
            steps_per_second = (until - step) / (time.perf_counter() - start)
            nan_steps += round(metrics.get("nan_steps", 0.0) * (until - step))
            step = until
            with writing(self.folder.path):
                monitor.steps(step, metrics, steps_per_second)
            if step % every == 0 or step == last:
                validated |= self._validate(step, monitor)
                if self.is_out_of_patience:
                    break
            received = signals.received or self.work.signal
            if received and step < last:
                self.checkpoints.save()
                raise Interrupted(received, step)
        return nan_steps, validated

    def _validate(self, step: int, monitor: Monitor) -> bool:
        """Validate, if the work does, and save; return whether the validation was a number."""
        validation = self.work.validate() if self.work.validate else None
        self._keep_best(validation)
        if validation is not None:
            with writing(self.folder.path):
                monitor.validation(step, validation, *self.checkpoints.best)
        self.checkpoints.save()
        if self._on_validation and validation is not None:
            self._on_validation(step, validation)
        return validation is not None and not math.isnan(validation.interval.mean)
