"""Save and restore the checkpoints of a run: the latest to resume from, the best to use."""

import contextlib
import logging
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf.errors import InputError, first_line
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.runs import RunDirectory
from leo_tf.runs import checkpoint_files as files
from leo_tf.training.work import Work

_KEPT = 2  # in each directory, so that a corrupt one does not lose the run
_logger = logging.getLogger("leo_tf")


class Checkpoints:
    """Checkpoints of a run; the work's measure decides which state is the best.

    They hold the state of the work (model and optimizers, whose iterations count the steps) and the best validation so
    far. There is no random state: draws are functions of the step. A new checkpoint is complete before an old one is
    removed.
    """

    def __init__(self, folder: RunDirectory, work: Work) -> None:
        self._sign = 1.0 if work.measured.higher_is_better else -1.0
        self._best_value = tf.Variable(-self._sign * math.inf, dtype=tf.float64, trainable=False)
        self._best_step = tf.Variable(-1, dtype=tf.int64, trainable=False)
        self._work, self._folder = work, folder
        self._best_name = f"best_{work.measured.measure}"
        state: dict[str, Any] = {**work.state, self._best_name: self._best_value, "best_step": self._best_step}
        self._start_scores = None
        if work.validates_at_start:
            zeros = tf.zeros([work.settings.metavalid_tasks], tf.float64)
            self._start_scores = state["start_scores"] = tf.Variable(zeros, trainable=False)
        self._parts, self._state = state, tf.train.Checkpoint(**state)

    @property
    def exist(self) -> bool:
        """Whether there are checkpoints to resume from.

        A single corrupt one does not count: the run was stopped while its first one was written.
        """
        there = self._there()
        return len(there) > 1 or any(map(files.is_whole, there))

    def _there(self) -> list[Path]:
        return [*files.checkpoints_in(self._folder.latest), *files.checkpoints_in(self._folder.best)]

    def restore(self) -> int:
        """Restore the newest intact checkpoint, if there is one; return the step."""
        for folder in (self._folder.latest, self._folder.best):
            for leftover in folder.glob("*_temp"):
                shutil.rmtree(leftover, ignore_errors=True)  # of a killed save
        there = self._there()
        if self.exist:
            self._read(self._newest_whole(there))
            self._drop_old(self._folder.latest)
        elif there:
            self._set_aside(there)
            _logger.warning("The only checkpoint, %s, is corrupt; the run starts from scratch.", there[0])
        return self.step

    def _newest_whole(self, there: list[Path]) -> Path:
        """Return the checkpoint to resume from: the newest in latest/; if that is corrupt, the newest of all."""
        newest = next(iter(files.checkpoints_in(self._folder.latest)), None)
        if newest is not None and files.is_whole(newest):
            return newest
        whole = [prefix for prefix in there if prefix != newest and files.is_whole(prefix)]
        if not whole:
            raise InputError(
                f"All checkpoints in {self._folder.latest} and {self._folder.best} are corrupt; the run cannot be "
                "resumed. Put one back from a copy, or train again with another checkpoint_path."
            )
        chosen = max(whole, key=files.step_of)
        self._set_aside(there)
        found = f"The latest checkpoint {newest} is corrupt" if newest else f"{self._folder.latest} has no checkpoint"
        _logger.warning("%s; the run resumes from %s.", found, chosen)
        return chosen

    def _set_aside(self, prefixes: list[Path]) -> None:
        """Rename the corrupt ones, which would otherwise count among those that are kept."""
        with writing(self._folder.path):
            for prefix in prefixes:
                if not files.is_whole(prefix):
                    files.set_aside(prefix)

    def _read(self, prefix: Path) -> None:
        try:
            with files.readable(prefix) as path:
                tf.train.Checkpoint(**self._parts).read(path).assert_consumed()
        except (*files.CORRUPTION, AssertionError) as error:
            raise InputError(
                f"The checkpoint {prefix} cannot be restored ({first_line(error)}); train again with another "
                "checkpoint_path."
            ) from None

    def best_is_lost(self) -> bool:
        """Return whether the best checkpoint was corrupt or missing; then fall back to the previous one."""
        step = self.best[1]
        if step < 0 or files.is_whole(files.prefix_of(self._folder.best, step)):
            self._drop_old(self._folder.best)
            return False
        self._set_aside(files.checkpoints_in(self._folder.best))
        before = next(iter(files.checkpoints_in(self._folder.best)), None)
        other = f"the previous one, {before.name}," if before else "the latest state"
        text = "The best checkpoint in %s, of step %d, is corrupt or missing; %s replaces it."
        _logger.warning(text, self._folder.best, step, other)
        self._best_step.assign(files.step_of(before) if before else -1)
        self._best_value.assign(files.read_number(before, self._best_name) if before else -self._sign * math.inf)
        return True

    @property
    def step(self) -> int:
        return self._work.steps_taken

    def save(self) -> None:
        """Save the latest state."""
        self._save(self._folder.latest)

    @property
    def best(self) -> tuple[float, int]:
        """The best validation so far and its step; the step is -1 if there was none."""
        return float(self._best_value.numpy()), int(self._best_step.numpy())

    def offer_best(self, value: float, scores: np.ndarray | None = None) -> bool:
        """Save the state as the best if the mean of its validation is the best so far; return whether it was.

        NaN never is. With metavalid_at_start, `scores` [tasks] is the measure per task: the initial state is replaced
        only if the interval of the difference, paired over the tasks, excludes 0.
        """
        if not self._sign * value > self._sign * self.best[0]:
            return False
        if self._start_scores is not None:
            if self.step == 0:
                self._start_scores.assign(scores)
            elif self.best[1] == 0:
                gain = confidence_interval(self._sign * (scores - self._start_scores.numpy()))
                if not gain.mean > gain.half_width:
                    return False
        self.keep_as_best(value)
        return True

    def keep_as_best(self, value: float = math.nan) -> None:
        """Save the state as the best one; without a value in a run without validation."""
        self._best_value.assign(value)
        self._best_step.assign(self.step)
        self._save(self._folder.best)

    def _save(self, folder: Path) -> None:
        prefix = files.prefix_of(folder, self.step)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._state.write(str(prefix))
            except BaseException:
                if not files.is_whole(prefix):  # one of the same step may be intact, if nothing was written
                    files.remove(prefix)
                raise
        self._drop_old(folder)

    def _drop_old(self, folder: Path) -> None:
        """Remove all but the newest two."""
        with writing(folder):
            for old in files.checkpoints_in(folder)[_KEPT:]:
                files.remove(old)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failure to write into an InputError that says how to resume the run."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        raise InputError(
            f"Cannot write in {folder} ({first_line(error)}). The previous checkpoint is intact: free space or give "
            "write permission, then rerun the command to resume from it."
        ) from None
