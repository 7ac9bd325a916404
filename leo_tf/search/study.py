"""A study: the trials of a search, shared by any number of commands."""

import contextlib
import json
import os
import secrets
import socket
from operator import attrgetter
from pathlib import Path

import filelock
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.files import writing
from leo_tf.runs.metrics import Progress
from leo_tf.search.plan import Plan, derive_seed
from leo_tf.search.storage import acquire, open_storage

_LOCK_TIMEOUT = 60.0  # seconds to wait for another command that takes a trial


class Study:
    """Trials of a search, stored by Optuna in a database or, without its URL, in a journal in the folder.

    A trial belongs to the command that took it while that command lives, which its lock in owners/ shows. A trial that
    a dead command left running is taken over and resumes from its run folder.
    """

    def __init__(self, folder: Path, plan: Plan, storage: str = ""):
        self.folder, self.plan = folder, plan
        with writing(folder):
            (folder / "owners").mkdir(parents=True, exist_ok=True)
        self._lock = _file_lock(folder / "study.lock", _LOCK_TIMEOUT)
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._owner_lock = _file_lock(folder / "owners" / self._owner)
        self._selection_lock = _file_lock(folder / "selection.lock")
        with self._locked():
            self.optuna_study = optuna.create_study(
                storage=open_storage(storage, folder),
                study_name=folder.resolve().name,
                direction=plan.objective.direction,
                pruner=plan.make_pruner(),
                load_if_exists=True,
            )
            self._require_same_plan()

    def __enter__(self) -> "Study":
        acquire(self._owner_lock, "the study's owners")
        return self

    def __exit__(self, *_: object) -> None:
        self._selection_lock.release()
        self._owner_lock.release()
        with contextlib.suppress(OSError):
            os.unlink(self._owner_lock.lock_file)

    def _locked(self) -> contextlib.AbstractContextManager:
        return acquire(self._lock, f"the study {self.folder}")

    def _require_same_plan(self) -> None:
        record = self.plan.record()
        before = self.optuna_study.user_attrs.get("plan")
        if before is None:
            self.optuna_study.set_user_attr("plan", record)
            return
        differing = [
            f"{name}: {before.get(name)!r} != {value!r}"
            for name, value in record.items()
            if name != "base" and before.get(name) != json.loads(json.dumps(value))
        ]
        differing += RunConfig.from_json(before["base"]).differences(self.plan.base)
        if differing:
            raise InputError(
                f"The study {self.folder} was started with other settings (its value != the one given): "
                f"{'; '.join(differing)}. Give the same flags to resume it, or another study.",
                "study",
            )

    def ask(self, max_trials: int) -> Trial | None:
        """Take over a trial that a dead command left, or create one; None if the study has `max_trials` already."""
        with self._locked():
            trials = self.trials
            abandoned = next((t for t in trials if t.state == TrialState.RUNNING and self._is_abandoned(t)), None)
            if abandoned:
                trial = Trial(self.optuna_study, abandoned._trial_id)  # as Optuna's ask creates it
            elif len(trials) < max_trials:
                self.optuna_study.sampler = self.plan.make_sampler(len(trials))
                trial = self.optuna_study.ask()
            else:
                return None
            trial.set_user_attr("owner", self._owner)
            self.plan.space.suggest(trial)
            return trial

    def _is_abandoned(self, trial: FrozenTrial) -> bool:
        owner = trial.user_attrs.get("owner")
        if owner == self._owner:
            return False
        if owner is None or not (self.folder / "owners" / owner).exists():
            return True
        lock = _file_lock(self.folder / "owners" / owner)
        try:
            lock.acquire()
        except filelock.Timeout:
            return False
        lock.release()
        with contextlib.suppress(OSError):
            os.unlink(lock.lock_file)
        return True

    def report(self, trial: Trial, progress: Progress) -> bool:
        """Report new validations of a running trial to Optuna; return whether to prune the trial."""
        known = self.trials[trial.number].intermediate_values
        for step, found in progress.validations:
            if step not in known:
                trial.report(found[self.plan.objective.name], step)
                if trial.should_prune():
                    return True
        return False

    def tell(self, trial: Trial, state: TrialState, value: float | None = None, reason: str = "") -> None:
        """Record how a trial ended: a completed one with its value, a failed one with the reason."""
        if reason:
            trial.set_user_attr("reason", reason)
        self.optuna_study.tell(trial, value, state=state)

    @property
    def trials(self) -> list[FrozenTrial]:
        return self.optuna_study.get_trials(deepcopy=False)

    @property
    def ranked(self) -> list[FrozenTrial]:
        """Completed trials, the best first."""
        completed = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        return sorted(completed, key=attrgetter("value"), reverse=self.plan.objective.higher_is_better)

    def training_seed(self, number: int, rerun: int = 0) -> int:
        """Return the training seed of a trial or, from 1, of one of its reruns."""
        return derive_seed(self.plan.seed, number, rerun)

    def claim_selection(self) -> bool:
        """Return whether all trials have ended and no other command has begun to select the best."""
        if any(not trial.state.is_finished() for trial in self.trials):
            return False
        try:
            self._selection_lock.acquire()
        except filelock.Timeout:
            return False
        return True


def _file_lock(path: Path, timeout: float = 0) -> filelock.BaseFileLock:
    return filelock.FileLock(path, timeout=timeout, fallback_to_soft=False)
