"""The directory of a run: its configuration, checkpoints and logs."""

import contextlib
import errno
import filecmp
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.files import expanded, read_json, write_bytes, write_json, write_text, writing
from leo_tf.runs.calibration import RunCalibration

_logger = logging.getLogger("leo_tf")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # a system or disk without them: trains all the same


class RunDirectory:
    """Paths and small files of a run.

    config.json holds the resolved configuration, and makes a directory a run; data.json describes the training data;
    initialization.json holds the settings that were chosen on validation tasks. latest/ has the checkpoints to resume
    from and best/ those with the best validation, the last two of each; corrupt ones are renamed to corrupt-*. There
    are also metrics.csv; TensorBoard's events, here and in one directory per curve, such as train/ and validation/;
    changes.jsonl, settings that changed when the run was resumed; evaluation-*; calibration.json; and lock, held by the
    process that trains. `kind` is the type of the configuration: RunConfig, or another with the same methods.
    """

    def __init__(self, path: str | Path, kind: Any = RunConfig) -> None:
        self.path, self._kind = expanded(path), kind
        self.config_file = self.path / "config.json"
        self.data_file = self.path / "data.json"
        self.initialization_file = self.path / "initialization.json"
        self.metrics_file = self.path / "metrics.csv"
        self.latest = self.path / "latest"
        self.best = self.path / "best"
        self.changes_file = self.path / "changes.jsonl"
        self.calibration_file = self.path / "calibration.json"

    def events(self, curve: str) -> Path:
        """Return the directory of TensorBoard's events for a curve, such as "validation"."""
        return self.path / curve.replace(" ", "_")

    def refuse_other(self, config: Any) -> None:
        """Raise InputError if there is another run in the directory, or one without its configuration."""
        if self.config_file.exists():
            self._refuse(self.config().differences(config))
        elif any(folder.is_dir() and any(folder.iterdir()) for folder in (self.latest, self.best)):
            raise InputError(
                f"{self.path} holds checkpoints, but {self.config_file.name} is missing; put it back from a copy, or "
                "give another checkpoint_path."
            )

    def claim(self, config: Any, data_record: Mapping[str, Any], initialization: Any = None) -> None:
        """Make this the directory of a run, or check that it already is; with the lock held.

        Raises InputError if the directory belongs to a run of another configuration, or on data with another record.
        """
        self.refuse_other(config)
        if self.config_file.exists():
            before = self.data()
            differing = {name: value for name, value in data_record.items() if before.get(name) != value}
            self._refuse([f"data: {name} {before.get(name)!r} != {value!r}" for name, value in differing.items()])
        else:
            write_json(self.data_file, data_record)
        if initialization and initialization.chosen:
            write_json(self.initialization_file, initialization.record())
        write_text(self.config_file, config.to_json())  # last: this file makes the directory a run

    def initialization(self) -> Any:
        """Return the run's Initialization, empty where nothing was chosen; None where the file is lost or corrupt."""
        from leo_tf.problem import Initialization

        if not self.initialization_file.exists():
            proto_leo = getattr(self.config(), "proto_leo", None)
            return None if proto_leo and proto_leo.auto_settings else Initialization()
        try:
            return Initialization(**read_json(self.initialization_file, "the settings that train.py chose"))
        except (InputError, TypeError):
            _logger.warning("%s is corrupt; its settings are chosen again.", self.initialization_file)
            return None

    def attach(self, files: Mapping[str, Path]) -> None:
        """Keep files in the directory, {name there: path of the file}; on the same disk they take no extra space."""
        for name, source in files.items():
            target = self.path / name
            with writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists() or not filecmp.cmp(source, target):  # of an earlier run in the directory
                    try:
                        os.link(source, target)  # new versions are renamed into place, so it does not change
                    except OSError:
                        write_bytes(target, source.read_bytes())

    def changes(self, config: Any) -> dict[str, list]:
        """Return {name: [the run's value, the given value]} of all settings that differ; empty for a new run."""
        return self.config().changes(config) if self.config_file.exists() else {}

    def record_changes(self, changes: Mapping[str, list], step: int) -> None:
        """Record the settings, from `changes`, that a resumed run changes at a step."""
        if changes:
            with writing(self.changes_file), open(self.changes_file, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, "changed": changes}) + "\n")
            listed = ", ".join(f"{name} from {before!r} to {now!r}" for name, (before, now) in changes.items())
            _logger.info("Settings changed at step %d: %s.", step, listed)

    def config(self) -> Any:
        """Return the run's configuration; raise InputError if there is no run in the directory."""
        try:
            text = self.config_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise InputError(
                f"No run in {self.path}: {self.config_file} cannot be read; expected the checkpoint_path of a run "
                "made by train.py."
            ) from None
        try:
            return self._kind.from_json(text)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    def _refuse(self, differing: list[str]) -> None:
        if differing:
            raise InputError(
                f"{self.path} holds a run with other settings (its value != the given one): {'; '.join(differing)}. "
                "Give the same settings to resume it, or another checkpoint_path.",
                "checkpoint_path",
            )

    def data(self) -> dict[str, Any]:
        """Return the description of the training data: of classification, its dimension and digests."""
        what = "the file that train.py wrote. Put it back from a copy, or train again in another checkpoint_path"
        return read_json(self.data_file, what)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this directory in the block, where the file system has locks."""
        import filelock

        about, advice = f"the run directory {self.path}", "give a checkpoint_path that can be written"
        with writing(about, advice):
            self.path.mkdir(parents=True, exist_ok=True)
        # Not a lock by the existence of the file: one left behind by a kill on another machine would stay forever.
        lock = filelock.FileLock(self.path / "lock", timeout=0, fallback_to_soft=False)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise InputError(
                f"Another process is training in {self.path}; wait for it, or give another checkpoint_path."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise InputError(f"Cannot write {about} ({error.strerror}); {advice}.") from None
        try:
            for file in (self.config_file, self.data_file, self.metrics_file):
                for left in self.path.glob(f"{file.name}.*.tmp"):  # by a killed training process
                    left.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def best_checkpoint(self) -> Path:
        """Return the best checkpoint, or the previous one if it is corrupt, as TensorFlow names it."""
        from leo_tf.runs.checkpoint_files import checkpoints_in, newest_whole

        config, there = self.config(), checkpoints_in(self.best)
        if not there:
            raise InputError(
                f"The run in {self.path} has no best checkpoint yet; it gets one at its first validation, after "
                f"{config.training.checkpoint_steps} steps. Resume the run with train.py."
            )
        whole = newest_whole(self.best)
        if whole is None:
            raise InputError(
                f"The best checkpoint {there[0]} is corrupt, and there is no other. Rerun the run's train.py command, "
                "which makes a new one from the latest state."
            )
        if whole != there[0]:
            _logger.warning("The best checkpoint %s is corrupt; the previous one, %s, is used.", there[0], whole.name)
        return whole

    def best_step(self) -> int:
        """Return the step of the best checkpoint."""
        from leo_tf.runs.checkpoint_files import step_of

        return step_of(self.best_checkpoint())

    def calibration(self, learner: Any = None, wanted: bool | None = True) -> RunCalibration | None:
        """Return the calibration of the best checkpoint, or of the learner loaded from it.

        If there is none that belongs to these weights, it raises InputError where it is `wanted`, and returns None
        where `wanted` is None, with a warning if there is one of other weights. Returns None if it is not wanted.
        """
        if wanted is False or (wanted is None and not self.calibration_file.exists()):
            return None
        from leo_tf.evaluation.fingerprint import fingerprint

        what = "the calibration that evaluate.py --calibrate writes there"
        record = read_json(self.calibration_file, what) if self.calibration_file.exists() else {}
        step, found = self.best_step(), RunCalibration.from_record(record)
        of_learner = learner is None or record.get("model_fingerprint") in (None, fingerprint(learner))
        if record.get("step") != step or not of_learner or found is None:
            reason = (
                f"The best checkpoint of {self.path}, of step {step}, is not calibrated; run python evaluate.py "
                f"--checkpoint_path={self.path} --calibrate first."
            )
            if wanted:
                raise InputError(reason)
            _logger.warning("%s", reason)
            return None
        return found

    def latest_step(self) -> int | None:
        """Return the step of the latest checkpoint; None if there is none."""
        from leo_tf.runs.checkpoint_files import checkpoints_in, step_of

        return next(map(step_of, checkpoints_in(self.latest)), None)

    def best_value(self, measure: str) -> float:
        """Return the validation of the best checkpoint by the problem's measure, such as "accuracy"."""
        from leo_tf.runs.checkpoint_files import read_number

        return read_number(self.best_checkpoint(), f"best_{measure}")
