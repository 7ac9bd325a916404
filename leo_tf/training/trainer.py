"""The outer loop of a run: step, log, validate, keep the best, save, continue."""

import logging
import math
import time

from leo_tf.errors import InputError
from leo_tf.runs.run_dir import RunDirectory
from leo_tf.training.checkpoints import Checkpoints, writing
from leo_tf.training.monitoring import Monitor
from leo_tf.training.signals import SignalCatcher

_AFTER_NAN = (
    "Start anew with lower learning rates, in regression also with an inner_gradient_norm_threshold, and in another "
    "checkpoint_path."
)
_logger = logging.getLogger("leo_tf")


class Interrupted(Exception):
    """A signal stopped the run after a checkpoint; `signum` says which."""

    def __init__(self, signum, step):
        super().__init__(f"Stopped by signal {signum} at step {step}; repeat the command to continue.")
        self.signum = signum


class Trainer:
    """Run work, such as MetaTraining, in a run folder, from its beginning or from where it stopped.

    A run that was interrupted or killed and continued gives bit for bit the weights of one that was not, on the same
    machine: every draw is a function of the step, and work past the last checkpoint is simply done again.

    Args:
      work: what is trained; MetaTraining says what is asked of it.
      checkpoint_path: the run's folder.
      on_validation: called after every validation with (step, Validation); what it raises ends the run, which can be
        continued.

    Example:
      >>> from leo_tf.config import DataConfig, TrainingConfig
      >>> training = TrainingConfig(num_steps_limit=2, metavalid_tasks=2, metavalid_queries=5, jit="off")
      >>> config = leo_tf.RunConfig(leo_tf.LEOConfig(1, 1), DataConfig(dataset_name="glyphs"), training=training)
      >>> leo_tf.Trainer(leo_tf.MetaTraining(config), "runs/short").run()
      2
    """

    def __init__(self, work, checkpoint_path, on_validation=None):
        self.work, self.folder = work, RunDirectory(checkpoint_path, type(work.config))
        self._on_validation = on_validation
        self.checkpoints = Checkpoints(self.folder, work)

    def run(self):
        """Train up to the step limit, or until patience ends; return the number of steps taken in this call.

        Raises:
          Interrupted: SIGINT or SIGTERM came; the state is saved.
          InputError: the folder belongs to another run, another process trains in it, it cannot be written, its
            checkpoints are damaged, every step or every validation of this call was NaN, or a new run cannot begin
            from the one that it is to start from.
        """
        self.folder.refuse_other(self.work.config)
        with self.folder.locked():
            goes_on = self.checkpoints.exist
            started = not goes_on and self._start()
            config = self.folder.as_begun(self.work.config) if goes_on else self.work.config
            changes = self.folder.changes(config)
            self.folder.claim(config, self.work.data_record)
            self.folder.attach(getattr(self.work, "attachments", {}))
            first = self.checkpoints.restore()
            if started:
                self.checkpoints.save()  # from here on the run needs no other
            self.folder.record_changes(changes, first)
            self._repair_best()
            last = self.work.settings.num_steps_limit
            if first < last and not self.has_lost_patience:
                self._train(first, last)
            if self.checkpoints.best[1] < 0:
                raise InputError(
                    f"Trained {self.checkpoints.step} steps in {self.folder.path}, and every validation was NaN: there "
                    f"is no best checkpoint. {_AFTER_NAN}"
                )
            return self.checkpoints.step - first

    @property
    def has_lost_patience(self):
        """Whether as many validations as `patience` says, and none of them the best, ended at this step."""
        settings, step = self.work.settings, self.checkpoints.step
        waited = step - max(self._first_steps, self.checkpoints.best[1])
        return 0 < settings.patience * settings.checkpoint_steps <= waited and step % settings.checkpoint_steps == 0

    @property
    def _first_steps(self):
        return getattr(self.work, "warmup_steps", 0)

    def _start(self):
        """Let the work begin from elsewhere, if it can and is to; return whether it did."""
        return hasattr(self.work, "start") and self.work.start()

    def _repair_best(self):
        if self.checkpoints.best_is_lost():
            self._keep_best(self.work.validate() if self.work.validate else None)
            self.checkpoints.save()

    def _keep_best(self, validation):
        if validation is None:
            self.checkpoints.keep_as_best()
        else:
            self.checkpoints.offer_best(validation.interval.mean, validation.scores)

    def _train(self, first, last):
        if first:
            _logger.info("Continuing %s from step %d.", self.folder.path, first)
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
                f"From step {first} to {self.checkpoints.step} every validation was NaN; the best checkpoint is of "
                f"before. {_AFTER_NAN}"
            )

    def _loop(self, step, last, monitor, signals):
        """Take all steps; return how many were NaN, and whether any validation was a number, or there is none."""
        nan_steps, validated = 0, self.work.validate is None
        every, log_every = self.work.settings.checkpoint_steps, self.work.settings.log_steps
        is_due = step % every == 0 if step else getattr(self.work.settings, "metavalid_at_start", False)
        if is_due and not validated and not monitor.has_validation:
            validated = self._validate(step, monitor)
        while step < last:
            # Rows end at the same steps whether or not the run was interrupted.
            until = min(last, step - step % log_every + log_every, step - step % every + every)
            until = min(until, self._first_steps) if step < self._first_steps else until
            start = time.perf_counter()
            metrics = self.work.step(until - step)
            steps_per_second = (until - step) / (time.perf_counter() - start)
            nan_steps += round(metrics.get("nan_steps", 0.0) * (until - step))
            step = until
            with writing(self.folder.path):
                monitor.steps(step, metrics, steps_per_second)
            if step % every == 0 or step in (last, self._first_steps):
                validated |= self._validate(step, monitor)
                if self.has_lost_patience:
                    break
            received = signals.received or getattr(self.work, "signal", 0)
            if received and step < last:
                self.checkpoints.save()
                raise Interrupted(received, step)
        return nan_steps, validated

    def _validate(self, step, monitor):
        """Validate, if there is something to, and save; return whether it was a number."""
        validation = self.work.validate() if self.work.validate else None
        self._keep_best(validation)
        if validation is not None:
            with writing(self.folder.path):
                monitor.validation(step, validation, *self.checkpoints.best)
        self.checkpoints.save()
        if self._on_validation and validation is not None:
            self._on_validation(step, validation)
        return validation is not None and not math.isnan(validation.interval.mean)
