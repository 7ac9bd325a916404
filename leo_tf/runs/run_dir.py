"""The folder of a run: its configuration, checkpoints and logs."""

import contextlib
import errno
import json
import logging
import math
import os

from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.files import expanded, read_json, write_bytes, write_json, write_text, writing

_logger = logging.getLogger("leo_tf")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # a system or disk without them: trains all the same


class RunDirectory:
    """Paths and small files of a run.

    config.json the resolved configuration, which alone makes a folder a run; data.json what was trained on; latest/ the
    checkpoints to continue from and best/ those with the best validation, the last two of each, in both damaged-*, what
    was set aside; metrics.csv; TensorBoard's events, here and in train/, validation/ and the like, which are the names
    of curves there; changes.jsonl, settings that changed on the way; evaluation-*.json, .npz, .png; calibration.json;
    lock, held by the process that trains.

    Args:
      path: of the folder.
      kind: type of the run's configuration: RunConfig, or another with to_json, from_json and differences.
    """

    def __init__(self, path, kind=RunConfig):
        self.path, self._kind = expanded(path), kind
        self.config_file = self.path / "config.json"
        self.data_file = self.path / "data.json"
        self.metrics_file = self.path / "metrics.csv"
        self.latest = self.path / "latest"
        self.best = self.path / "best"
        self.changes_file = self.path / "changes.jsonl"
        self.calibration_file = self.path / "calibration.json"

    def events(self, curve):
        """Return the folder of TensorBoard's events for the curve of this name, as "validation"."""
        return self.path / curve.replace(" ", "_")

    def refuse_other(self, config):
        """Raise if the folder holds a run of another configuration; quick, before anything is loaded.

        Raises:
          InputError: names the fields that differ.
        """
        if self.config_file.exists():
            self._refuse(self.config(type(config)).differences(config))

    def as_begun(self, config):
        """Return a configuration to go on with; what only a run's beginning takes is as the run has it."""
        if not self.config_file.exists() or not hasattr(config, "as_begun"):
            return config
        return config.as_begun(self.config(type(config)))

    def claim(self, config, data_record):
        """Make the folder this run's, or check that it already is; with the lock held.

        Args:
          config: RunConfig, or another configuration with to_json, from_json and differences.
          data_record: what is trained on, a dict that goes to JSON.

        Raises:
          InputError: the folder cannot be written, or belongs to a run of another configuration or on other data.
        """
        if self.config_file.exists():
            self.refuse_other(config)
            before = self.data()
            self._refuse(
                [f"data: {k} {before.get(k)!r} != {v!r}" for k, v in data_record.items() if before.get(k) != v]
            )
        elif any(folder.is_dir() and any(folder.iterdir()) for folder in (self.latest, self.best)):
            raise InputError(
                f"{self.path} holds checkpoints, but {self.config_file.name} is missing; put it back from a copy, or "
                "give another checkpoint_path."
            )
        else:
            write_json(self.data_file, data_record)
        write_text(self.config_file, config.to_json())  # last: it alone makes the folder a run

    def attach(self, files):
        """Keep files in the folder, {name there: path of the file}; on one disk they take no room of their own.

        Raises:
          InputError: a file cannot be read, or the folder cannot be written.
        """
        for name, source in files.items():
            target = self.path / name
            with writing(target), contextlib.suppress(FileExistsError):
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.exists():
                    continue
                try:
                    os.link(source, target)  # what is written anew is renamed into place, so it stays as it is
                except FileExistsError:
                    raise
                except OSError:
                    write_bytes(target, source.read_bytes())

    def changes(self, config):
        """Return {name: [the run's value, the one given]} of all settings that differ; none for a new run."""
        return self.config(type(config)).changes(config) if self.config_file.exists() else {}

    def record_changes(self, changes, step):
        """Note the settings, from `changes`, that a continued run changes at a step."""
        if changes:
            with writing(self.changes_file), open(self.changes_file, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, "changed": changes}) + "\n")
            listed = ", ".join(f"{name} from {before!r} to {now!r}" for name, (before, now) in changes.items())
            _logger.info("Changed from step %d on: %s.", step, listed)

    def config(self, kind=None):
        """Return the run's configuration, of type `kind`; default the folder's.

        Raises:
          InputError: there is no run in the folder.
        """
        try:
            text = self.config_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise InputError(
                f"No run in {self.path}: {self.config_file} cannot be read; expected the checkpoint_path of a run "
                "started with train.py."
            ) from None
        try:
            return (kind or self._kind).from_json(text)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    def _refuse(self, differing):
        if differing:
            raise InputError(
                f"{self.path} holds a run made otherwise (its value != the one given): {'; '.join(differing)}. "
                "Give the same flags to continue it, or another checkpoint_path."
            )

    def data(self):
        """Return what the run was trained on: for classification, embedding_dim, train_digest, validation_digest.

        Raises:
          InputError: the file is missing or damaged.
        """
        what = "what train.py wrote there. Put it back from a copy, or train again in another checkpoint_path"
        record = read_json(self.data_file, what)
        if not isinstance(record, dict):
            raise InputError(f"{self.data_file} is missing or damaged; expected {what}.")
        return record

    @contextlib.contextmanager
    def locked(self):
        """Keep other processes from training in this folder while the block runs.

        Where there are no locks it does nothing.

        Raises:
          InputError: another process trains here, or the folder cannot be made.
        """
        import filelock

        with writing(f"the run folder {self.path}", "give a checkpoint_path that can be written"):
            self.path.mkdir(parents=True, exist_ok=True)
        # No lock made of the file's being there: one left behind by a kill on another machine would stay for ever.
        lock = filelock.FileLock(self.path / "lock", timeout=0, fallback_to_soft=False)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise InputError(
                f"Another process is training in {self.path}; wait for it, or give another checkpoint_path."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise InputError(
                    f"Cannot write the run folder {self.path} ({error.strerror}); give a checkpoint_path that can be "
                    "written."
                ) from None
        try:
            self._clear_away()
            yield
        finally:
            lock.release()

    def _clear_away(self):
        """Remove what a process that was killed left half written, of the files that only training writes."""
        for file in (self.config_file, self.data_file, self.metrics_file):
            for left in self.path.glob(f"{file.name}.*.tmp"):
                with contextlib.suppress(OSError):
                    left.unlink()

    def best_checkpoint(self):
        """Return the best checkpoint, or the one before where it is damaged, as TensorFlow names it.

        Raises:
          InputError: there is no run in the folder, no checkpoint yet, or only damaged ones.
        """
        from leo_tf.runs.checkpoint_files import checkpoints_in, newest_whole

        config, there = self.config(), checkpoints_in(self.best)
        if not there:
            raise InputError(
                f"The run in {self.path} has no best checkpoint yet; it gets one at its first validation, after "
                f"{config.training.checkpoint_steps} steps. Continue the run with train.py."
            )
        whole = newest_whole(self.best)
        if whole is None:
            raise InputError(
                f"The best checkpoint {there[0]} is damaged, and there is no other. Repeat the run's train.py command, "
                "which makes a new one of the latest state."
            )
        if whole != there[0]:
            _logger.warning("The best checkpoint %s is damaged; the one before, %s, is used.", there[0], whole.name)
        return whole

    def best_step(self):
        """Return the meta-training steps of the best checkpoint; raises as `best_checkpoint`."""
        from leo_tf.runs.checkpoint_files import step_of

        return step_of(self.best_checkpoint())

    def temperature(self):
        """Return what the best checkpoint's logits are divided by for calibrated probabilities, a float.

        Raises:
          InputError: the run was not calibrated, or at another checkpoint.
        """
        what = "the calibration that evaluate.py --calibrate writes there"
        record = read_json(self.calibration_file, what) if self.calibration_file.exists() else {}
        step = self.best_step()
        if not isinstance(record, dict):
            raise InputError(f"{self.calibration_file} is damaged or something else; expected {what}.")
        temperature = record.get("temperature")
        if record.get("step") != step or not isinstance(temperature, float) or not 0 < temperature < math.inf:
            raise InputError(
                f"The best checkpoint of {self.path}, of step {step}, is not calibrated; run python evaluate.py "
                f"--checkpoint_path={self.path} --calibrate first."
            )
        return temperature

    def latest_step(self):
        """Return the meta-training steps of the latest checkpoint; None if there is none."""
        from leo_tf.runs.checkpoint_files import checkpoints_in, step_of

        return next(map(step_of, checkpoints_in(self.latest)), None)

    def best_value(self, measure):
        """Return the validation of the best checkpoint, a float; raises as `best_checkpoint`.

        Args:
          measure: the problem's, as "accuracy".
        """
        from leo_tf.runs.checkpoint_files import read_number

        return read_number(self.best_checkpoint(), f"best_{measure}")
