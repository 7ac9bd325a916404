"""The outer loop of a run: step, log, validate, keep the best, save, continue."""

import logging
import signal
import time

import keras
import tensorflow as tf

from leo_tf.classification.problem import Classification
from leo_tf.meta_learner import ADAM_EPSILON
from leo_tf.regression.problem import Regression
from leo_tf.runs.folder import RunFolder
from leo_tf.training.checkpoints import Checkpoints, writing
from leo_tf.training.distribution import make_strategy
from leo_tf.training.monitoring import Monitor
from leo_tf.training.step import MetaTrainer

_logger = logging.getLogger("leo_tf")


class Interrupted(Exception):
    """A signal stopped the run after a checkpoint; `signum` says which."""

    def __init__(self, signum, step):
        super().__init__(f"Stopped by signal {signum} at step {step}; repeat the command to continue.")
        self.signum = signum


class Trainer:
    """Meta-train LEO or a baseline in a run folder, from its beginning or from where it stopped.

    A run that was interrupted or killed and continued gives bit for bit the weights of one that was not, on the same
    machine: every draw is a function of the step, and work past the last checkpoint is simply done again.

    Args:
      config: RunConfig.
      checkpoint_path: the run's folder.

    Raises:
      InputError: the data are missing or do not fit, or the folder belongs to another run.
    """

    def __init__(self, config, checkpoint_path):
        self.config, training = config, config.training
        self.folder = RunFolder(checkpoint_path)
        strategy = make_strategy(training.distribution, training.metatrain_batch_size)
        self.problem = _problem(config)
        with strategy.scope():
            self.model, sampler = self.problem.build()
            optimizer = keras.optimizers.Adam(_learning_rate(training), epsilon=ADAM_EPSILON)
            optimizer.build(self.model.meta_variables)
        self._steps = MetaTrainer(self.model, optimizer, sampler, strategy, training)
        self.folder.claim(config, self.problem.data)
        self.checkpoints = Checkpoints(self.folder, self.model, optimizer, self.problem)
        _logger.info("%s", self.problem.summary())

    def run(self):
        """Train up to the step limit; return the number of steps taken in this call.

        Raises:
          Interrupted: SIGINT or SIGTERM came; the state is saved.
          InputError: a checkpoint or the metrics could not be written, or another process trains in the folder.
        """
        with writing(self.folder.path):
            lock = self.folder.lock()
        with lock:
            return self._run()

    def _run(self):
        first, last = self.checkpoints.restore(), self.config.training.num_steps_limit
        if first >= last:
            return 0
        if first:
            _logger.info("Continuing %s from step %d.", self.folder.path, first)
        with writing(self.folder.path):
            monitor = Monitor(self.folder, self.model, self.problem, first, last)
        try:
            with _SignalCatcher() as signals:
                self._loop(first, last, monitor, signals)
        finally:
            with writing(self.folder.path):
                monitor.close()
        return last - first

    def _loop(self, step, last, monitor, signals):
        every, log_every = self.config.training.checkpoint_steps, self.config.training.log_steps
        while step < last:
            # Rows end at the same steps whether or not the run was interrupted.
            until = min(last, step - step % log_every + log_every, step - step % every + every)
            start = time.perf_counter()
            metrics = self._steps.run(tf.constant(until - step))
            metrics["loss"].numpy()  # waits for the steps
            pace = (until - step) / (time.perf_counter() - start)
            step = until
            with writing(self.folder.path):
                monitor.steps(step, metrics, pace)
            if step % every == 0 or step == last:
                validation = self.problem.validate()
                self.checkpoints.offer_best(validation.interval.mean)
                with writing(self.folder.path):
                    monitor.validation(step, validation, *self.checkpoints.best)
                self.checkpoints.save()
            if signals.received and step < last:
                self.checkpoints.save()
                raise Interrupted(signals.received, step)


def _problem(config):
    return Regression(config) if config.episodes.problem == "regression" else Classification(config)


def _learning_rate(training):
    if training.outer_lr_schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(training.outer_lr, training.num_steps_limit)
    return training.outer_lr


class _SignalCatcher:
    """Note SIGINT and SIGTERM instead of dying, so that the loop can save first; a second one acts as usual."""

    def __init__(self):
        self.received = 0

    def __enter__(self):
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, _):
        self.received = number
        signal.signal(number, self._before[number])
