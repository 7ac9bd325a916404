"""A study: trials that any number of commands take from it and give back, none lost and none twice."""

import contextlib
import json
import os
import secrets
import socket

import filelock
import optuna
from optuna.trial import TrialState

from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.files import writing
from leo_tf.search.sampling import sampler_of, seed_of
from leo_tf.search.storage import acquire, open_storage

_SECONDS = 60.0  # to wait for another command that takes a trial


class Study:
    """Trials of a search, kept by Optuna.

    A trial belongs to the command that took it for as long as that command lives, which its lock in owners/ shows. What
    a dead command left running is taken over and goes on from its run folder.

    Args:
      folder: Path; on several machines, on a disk that they share.
      plan: Plan, the same for every command of the study.
      storage: URL of a database, or empty for a journal in the folder.

    Raises:
      InputError: the folder cannot be written, the storage not be reached, or the study was begun with another plan.
    """

    def __init__(self, folder, plan, storage=""):
        self.folder, self.plan = folder, plan
        with writing(folder):
            (folder / "owners").mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(folder / "study.lock", timeout=_SECONDS, fallback_to_soft=False)
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._life = self._life_of(self._owner)
        self._choosing = filelock.FileLock(folder / "choosing.lock", timeout=0, fallback_to_soft=False)
        with self._locked():
            self._study = optuna.create_study(
                storage=open_storage(storage, folder),
                study_name=folder.resolve().name,
                direction=plan.objective.direction,
                pruner=plan.make_pruner(),
                load_if_exists=True,
            )
            self._require_same_plan()

    def __enter__(self):
        acquire(self._life, "the study's owners")
        return self

    def __exit__(self, *_):
        self._choosing.release()
        self._life.release()
        with contextlib.suppress(OSError):
            os.unlink(self._life.lock_file)

    @contextlib.contextmanager
    def _locked(self):
        acquire(self._lock, f"the study {self.folder}")
        try:
            yield
        finally:
            self._lock.release()

    def _life_of(self, owner):
        return filelock.FileLock(self.folder / "owners" / owner, timeout=0, fallback_to_soft=False)

    def _require_same_plan(self):
        record = self.plan.record()
        before = self._study.user_attrs.get("plan")
        if before is None:
            self._study.set_user_attr("plan", record)
            return
        differing = [f"{name}: {before.get(name)!r} != {value!r}" for name, value in record.items()
                     if name != "start" and before.get(name) != json.loads(json.dumps(value))]  # fmt: skip
        differing += RunConfig.from_json(before["start"]).differences(self.plan.start)
        if differing:
            raise InputError(
                f"The study {self.folder} was begun otherwise (its value != the one given): {'; '.join(differing)}. "
                "Give the same flags to go on with it, or another study."
            )

    def take(self, most):
        """Take a trial that a dead command left, or a new one.

        Args:
          most: trials of the whole study, those of other commands included.

        Returns:
          Optuna's Trial; None where there is none to take.
        """
        with self._locked():
            trials = self._study.get_trials(deepcopy=False)
            for each in trials:
                if each.state == TrialState.RUNNING and self._is_left(each):
                    trial = optuna.trial.Trial(self._study, each._trial_id)  # as ask makes it
                    break
            else:
                if len(trials) >= most:
                    return None
                self._study.sampler = sampler_of(self.plan.sampler, self.plan.seed, len(trials))
                trial = self._study.ask()
            trial.set_user_attr("owner", self._owner)
            self.plan.space.suggest(trial)
            return trial

    def _is_left(self, trial):
        owner = trial.user_attrs.get("owner")
        if owner == self._owner:
            return False
        if owner is None or not (self.folder / "owners" / owner).exists():
            return True
        life = self._life_of(owner)
        try:
            life.acquire()
        except filelock.Timeout:
            return False
        life.release()
        with contextlib.suppress(OSError):
            os.unlink(life.lock_file)
        return True

    def report(self, trial, progress):
        """Pass on the validations of a running trial that are new; return whether to stop it as hopeless."""
        known = self._trial(trial.number).intermediate_values
        for step, found in progress.validations:
            if step not in known:
                trial.report(found[self.plan.objective.name], step)
                if trial.should_prune():
                    return True
        return False

    def finish(self, trial, state, value=None, reason=""):
        """Give back a trial that ended.

        Args:
          trial: Optuna's Trial.
          state: optuna.trial.TrialState.
          value: of the objective, for TrialState.COMPLETE.
          reason: why, of TrialState.FAIL.
        """
        if reason:
            trial.set_user_attr("reason", reason)
        self._study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)

    @property
    def trials(self):
        """All trials, of every command: list of optuna.trial.FrozenTrial."""
        return self._study.get_trials(deepcopy=False)

    @property
    def optuna_study(self):
        """The optuna.Study, for its plots."""
        return self._study

    def _trial(self, number):
        return self.trials[number]

    @property
    def ranked(self):
        """Trials that were trained to the end, the best first."""
        done = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        return sorted(done, key=lambda trial: trial.value, reverse=self.plan.objective.higher_is_better)

    def seed(self, number, again=0):
        """Return the training seed of a trial; of its repetitions with `again` of at least 1."""
        return seed_of(self.plan.seed, number, again)

    def closes(self):
        """Return whether the search is over and this command, no other, is the one to choose; until it ends."""
        if any(not trial.state.is_finished() for trial in self.trials):
            return False
        try:
            self._choosing.acquire()
        except filelock.Timeout:
            return False
        return True
