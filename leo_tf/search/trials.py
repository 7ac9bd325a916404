"""Running the trials of a study, several at once, until there are as many as asked for."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from optuna.trial import Trial, TrialState

from leo_tf.commands.flags import flags_of
from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.execution import Executor, Job, ProgressDisplay
from leo_tf.runs.metrics import progress_of
from leo_tf.search.plan import run_folder
from leo_tf.search.study import Study

_POLL_SECONDS = 1.0


def run_trials(study: Study, executor: Executor, max_trials: int, log: Callable[[str], None] = print) -> None:
    """Run trials until the study has `max_trials`; those that other commands run are left to them.

    Raises InputError if a trial failed before its first step, as every other would.
    """
    ended = sum(trial.state.is_finished() for trial in study.trials)
    objective = study.plan.objective
    shown: dict[str, Any] = {"measure": objective.measure, "higher_is_better": objective.higher_is_better}
    running: dict[Future, tuple[Trial, Job]] = {}
    pruned: set[int] = set()
    exhausted = False
    with ProgressDisplay(max_trials, ended, "trial", text=objective.measure_text, log=log, **shown) as display:
        while True:
            while not exhausted and len(running) < executor.capacity:
                trial = study.ask(max_trials)
                exhausted = trial is None
                if trial is not None and (job := _job(study, trial, display)):
                    running[executor.submit(job)] = trial, job
                    display.started(job)
            if not running:
                return
            done, _ = wait(running, _POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                trial, job = running.pop(future)
                display.ended(job, _tell(study, trial, job, future.result(), trial.number in pruned))
            for trial, job in running.values():
                if trial.number not in pruned and job.run and study.report(trial, progress_of(job.run)):
                    pruned.add(trial.number)
                    executor.stop(job)
            display.refresh()


def _job(study: Study, trial: Trial, display: ProgressDisplay) -> Job | None:
    """Return the job of a trial; if its settings are incompatible, record the failure and return None."""
    folder = run_folder(study.folder, trial.number)
    try:
        config = study.plan.config(trial.params, study.training_seed(trial.number))
    except InputError as error:
        study.tell(trial, TrialState.FAIL, reason=str(error))
        display.ended(Job(folder.name, folder, ()), f"FAILED: {error}")
        return None
    return training_job(folder, config)


def training_job(run: Path, config: RunConfig) -> Job:
    """Return the job that trains a configuration in a run folder."""
    command = ("train.py", (*flags_of(config), f"--checkpoint_path={run}"))
    return Job(run.name, run.with_name(f"{run.name}.job"), (command,), run / "config.json", run)


def _tell(study: Study, trial: Trial, job: Job, status: dict[str, Any], is_pruned: bool) -> str:
    """Record in the study how a trial ended; return a description."""
    progress = progress_of(run_folder(study.folder, trial.number))
    if not status["stopped"]:
        study.report(trial, progress)
    value = study.plan.objective.value(progress)
    if status["ok"] and value is not None:
        study.tell(trial, TrialState.COMPLETE, value)
        return study.plan.objective.text(value)
    if is_pruned and value is not None:
        study.tell(trial, TrialState.PRUNED)
        return f"pruned at step {progress.step}, {study.plan.objective.text(value)}"
    if not progress.step and "Out of memory" not in status.get("reason", ""):  # stays RUNNING, to be taken over
        reason = status["reason"].removeprefix("Error: ")
        raise InputError(f"{job.name} failed before its first step, so the search ends: {reason}")
    reason = status.get("reason") or "no validation was a number"
    study.tell(trial, TrialState.FAIL, reason=reason)
    return f"FAILED: {reason}"
