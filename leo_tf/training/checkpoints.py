"""Saving and restoring a run: the latest state to continue from, the best one to use."""

import contextlib
import logging
import math
import shutil

import numpy as np
import tensorflow as tf

from leo_tf.errors import InputError, first_line
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.runs import checkpoint_files as files

_KEPT = 2  # in each folder, so that a damaged one does not lose the run
_logger = logging.getLogger("leo_tf")


class Checkpoints:
    """The run's state on disk.

    The state is the work's (model, optimizers, whose iterations are the steps) and the best validation so far; nothing
    random is in it, for draws are functions of the step. A new checkpoint is complete before an old one goes.

    Args:
      folder: RunDirectory.
      work: what is trained, as for Trainer; its measure decides which state is the best.
    """

    def __init__(self, folder, work):
        self._sign = 1.0 if work.measured.higher_is_better else -1.0
        self._best_value = tf.Variable(-self._sign * math.inf, dtype=tf.float64, trainable=False)
        self._best_step = tf.Variable(-1, dtype=tf.int64, trainable=False)
        self._work, self._folder = work, folder
        self._best_name = f"best_{work.measured.measure}"
        state = {**work.state, self._best_name: self._best_value, "best_step": self._best_step}
        self._start_scores = None
        if getattr(work.settings, "metavalid_at_start", False):
            nothing = tf.fill([work.settings.metavalid_tasks], tf.constant(math.nan, tf.float64))
            self._start_scores = state["start_scores"] = tf.Variable(nothing, trainable=False)
        self._parts, self._state = state, tf.train.Checkpoint(**state)

    @property
    def exist(self):
        """Whether the run has checkpoints: it then goes on, and does not begin.

        An only one that is damaged is no checkpoint: the run was stopped while its first one was written.
        """
        there = self._there()
        return len(there) > 1 or any(map(files.is_whole, there))

    def _there(self):
        return [*files.checkpoints_in(self._folder.latest), *files.checkpoints_in(self._folder.best)]

    def restore(self):
        """Continue from the newest whole checkpoint, if any; return the step.

        Raises:
          InputError: there are checkpoints, but none can be read into this work.
        """
        for folder in (self._folder.latest, self._folder.best):
            for leftover in folder.glob("*_temp"):
                shutil.rmtree(leftover, ignore_errors=True)  # a save that was killed
        there = self._there()
        if self.exist:
            self._read(self._newest_whole(there))
            self._drop_old(self._folder.latest)
        elif there:
            self._set_aside(there)
            _logger.warning("The only checkpoint, %s, is damaged; the run begins anew.", there[0])
        return self.step

    def _newest_whole(self, there):
        """Return what to continue from: the newest of latest/; where that is damaged, the newest of both folders."""
        newest = next(iter(files.checkpoints_in(self._folder.latest)), None)
        if newest is not None and files.is_whole(newest):
            return newest
        whole = [prefix for prefix in there if prefix != newest and files.is_whole(prefix)]
        if not whole:
            raise InputError(
                f"All checkpoints in {self._folder.latest} and {self._folder.best} are damaged; the run cannot be "
                "continued. Put one back from a copy, or train again with another checkpoint_path."
            )
        chosen = max(whole, key=files.step_of)
        self._set_aside(there)
        _logger.warning(
            "%s; the run goes on from %s.",
            f"The latest checkpoint {newest} is damaged" if newest else f"{self._folder.latest} has no checkpoint",
            chosen,
        )
        return chosen

    def _set_aside(self, prefixes):
        """Take the damaged ones out of the way: they would count among those that are kept."""
        with writing(self._folder.path):
            for prefix in prefixes:
                if not files.is_whole(prefix):
                    files.set_aside(prefix)

    def _read(self, prefix):
        try:
            with files.readable(prefix) as path:
                found = {name.split("/")[0] for name, _ in tf.train.list_variables(path)}
                # A run that was begun before there were any goes on without.
                parts = {name: part for name, part in self._parts.items() if name != "start_scores" or name in found}
                tf.train.Checkpoint(**parts).read(path).assert_consumed()
        except (*files.DAMAGE, AssertionError) as error:
            raise InputError(
                f"The checkpoint {prefix} cannot be restored ({first_line(error)}); start anew with another "
                "checkpoint_path."
            ) from None

    def best_is_lost(self):
        """Check the best checkpoint; where it is damaged or gone, fall back to the one before.

        Returns:
          Whether it was lost: the state as it is should be validated and offered.
        """
        step = self.best[1]
        if step < 0 or files.is_whole(files.prefix_of(self._folder.best, step)):
            self._drop_old(self._folder.best)
            return False
        self._set_aside(files.checkpoints_in(self._folder.best))
        before = next(iter(files.checkpoints_in(self._folder.best)), None)
        _logger.warning(
            "The best checkpoint in %s, of step %d, is damaged or gone; %s.",
            *(self._folder.best, step),
            f"the one before, {before.name}, stands in for it" if before else "the latest state takes its place",
        )
        self._best_step.assign(files.step_of(before) if before else -1)
        self._best_value.assign(files.read_number(before, self._best_name) if before else -self._sign * math.inf)
        return True

    @property
    def step(self):
        """The steps taken, int."""
        return self._work.steps_taken

    def save(self):
        """Save the latest state."""
        self._save(self._folder.latest)

    @property
    def best(self):
        """The best validation so far and its step, (float, int); the step is -1 if there was none."""
        return float(self._best_value.numpy()), int(self._best_step.numpy())

    def offer_best(self, value, scores=None):
        """Save the state as the best if its validation is the best so far; return whether it was. NaN never is.

        Args:
          value: of the validation.
          scores: [tasks] that it is the mean of; needed with metavalid_at_start, whose start is replaced as the best only
            where the interval of the difference from it, paired over the tasks, leaves out 0.
        """
        if not self._sign * value > self._sign * self.best[0]:
            return False
        if self._start_scores is not None:
            if self.step == 0:
                self._start_scores.assign(scores)
            elif self.best[1] == 0 and not np.isnan(start := self._start_scores.numpy()).any():
                gain = confidence_interval(self._sign * (scores - start))
                if not gain.mean > gain.half_width:
                    return False
        self._best_value.assign(value)
        self._best_step.assign(self.step)
        self._save(self._folder.best)
        return True

    def keep_as_best(self):
        """Save the state as the best there is, of a run without validation."""
        self._best_value.assign(math.nan)
        self._best_step.assign(self.step)
        self._save(self._folder.best)

    def _save(self, folder):
        prefix = files.prefix_of(folder, self.step)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._state.write(str(prefix))
            except BaseException:
                if not files.is_whole(prefix):  # as one of the same step is, if nothing was written
                    files.remove(prefix)
                raise
        self._drop_old(folder)

    def _drop_old(self, folder):
        """Remove what a save, or one that was killed as it did this, has made too many."""
        with writing(folder):
            for old in files.checkpoints_in(folder)[_KEPT:]:
                files.remove(old)


@contextlib.contextmanager
def writing(folder):
    """Turn a failure to write into an InputError that says how the run goes on."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        raise InputError(
            f"Cannot write in {folder} ({first_line(error)}). The checkpoint before is whole: free space or give "
            "write permission, then repeat the command to continue from it."
        ) from None
