"""Saving and restoring a run: the latest state to continue from, the best model to use."""

import contextlib
import math
import shutil

import tensorflow as tf

from leo_tf.errors import InputError


class Checkpoints:
    """The run's state on disk.

    The state is the model, the optimizer (whose iterations are the step) and the best validation so far; nothing random
    is in it, for draws are functions of the step. Both folders hold one checkpoint each; a new one is complete before
    the old one goes.

    Args:
      folder: RunFolder.
      work: what is trained, as for Trainer; its measure decides which state is the best.
    """

    def __init__(self, folder, work):
        self._sign = 1.0 if work.measured.higher_is_better else -1.0
        self._best_value = tf.Variable(-self._sign * math.inf, dtype=tf.float64, trainable=False)
        self._best_step = tf.Variable(-1, dtype=tf.int64, trainable=False)
        self._work, self._folder = work, folder
        best = {f"best_{work.measured.measure}": self._best_value, "best_step": self._best_step}
        state = tf.train.Checkpoint(**work.state, **best)
        self._latest = tf.train.CheckpointManager(state, folder.latest, max_to_keep=1)
        self._best = tf.train.CheckpointManager(state, folder.best, max_to_keep=1)
        self._state = state

    def restore(self):
        """Continue from the latest checkpoint, if any; return the step.

        Raises:
          InputError: the checkpoint cannot be read into this model.
        """
        for manager in (self._latest, self._best):
            for leftover in tf.io.gfile.glob(f"{manager.directory}/*_temp"):
                shutil.rmtree(leftover, ignore_errors=True)  # a save that was killed
        if self._latest.latest_checkpoint:
            try:
                self._state.restore(self._latest.latest_checkpoint).assert_consumed()
            except (tf.errors.OpError, AssertionError, ValueError) as error:
                raise InputError(
                    f"The checkpoint {self._latest.latest_checkpoint} cannot be restored ({_first_line(error)}); "
                    "start anew with another --checkpoint_path."
                ) from None
        return self.step

    @property
    def step(self):
        """The steps taken, int."""
        return self._work.steps_taken

    def save(self):
        """Save the latest state."""
        self._save(self._latest)

    @property
    def best(self):
        """The best validation so far and its step, (float, int); the step is -1 if there was none."""
        return float(self._best_value.numpy()), int(self._best_step.numpy())

    def offer_best(self, value):
        """Save the state as the best if its validation is the best so far; return whether it was. NaN never is."""
        if not self._sign * value > self._sign * self.best[0]:
            return False
        self._best_value.assign(value)
        self._best_step.assign(self.step)
        self._save(self._best)
        return True

    def _save(self, manager):
        with writing(manager.directory):
            manager.save(checkpoint_number=self.step)


@contextlib.contextmanager
def writing(folder):
    """Turn a failure to write into an InputError that says how the run goes on."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        raise InputError(
            f"Cannot write in {folder} ({_first_line(error)}). The checkpoint before is whole: free space or give "
            "write permission, then repeat the command to continue from it."
        ) from None


def _first_line(error):
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
