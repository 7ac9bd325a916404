"""Run the trials of a study, so many at once, until there are as many as wanted."""

from concurrent.futures import FIRST_COMPLETED, Future, wait

from optuna.trial import TrialState

from leo_tf.commands.flags import flags_of
from leo_tf.errors import InputError
from leo_tf.execution import Job, View
from leo_tf.runs.metrics import progress_of
from leo_tf.search.plan import run_folder

_POLL_SECONDS = 1.0


def run_trials(study, executor, most, log=print):
    """Run trials until the study has `most`; those that other commands run are left to them.

    Args:
      study: Study, entered.
      executor: Executor, entered.
      most: trials of the whole study.
      log: is called with a line for each trial that ends.

    Raises:
      InputError: a trial failed before its first step, as every other would.
    """
    ended = sum(trial.state.is_finished() for trial in study.trials)
    objective = study.plan.objective
    shown = {"measure": objective.measure, "higher_is_better": objective.higher_is_better}
    running: dict[Future, tuple] = {}
    pruned: set[int] = set()
    exhausted = False
    with View(most, ended, "trial", text=_text_of(objective), log=log, **shown) as view:
        while True:
            while not exhausted and len(running) < executor.capacity:
                trial = study.take(most)
                exhausted = trial is None
                if trial is not None and (job := _job(study, trial, view)):
                    running[executor.submit(job)] = trial, job
                    view.started(job)
            if not running:
                return
            done, _ = wait(running, _POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                trial, job = running.pop(future)
                view.ended(job, _finish(study, trial, job, future.result(), trial.number in pruned))
            for trial, job in running.values():
                if trial.number not in pruned and study.report(trial, progress_of(job.run)):
                    pruned.add(trial.number)
                    executor.stop(job)
            view.refresh()


def _text_of(objective):
    return lambda value: objective._replace(name=objective.measure).text(value)


def _job(study, trial, view):
    """Return the Job of a trial; None, and the trial is over, where its settings do not go together."""
    folder = run_folder(study.folder, trial.number)
    try:
        config = study.plan.config(trial.params, study.seed(trial.number))
    except InputError as error:
        study.finish(trial, TrialState.FAIL, reason=str(error))
        view.ended(Job(folder.name, folder, ()), f"FAILED: {error}")
        return None
    return training_job(folder, config)


def training_job(run, config):
    """Return the Job that trains a configuration in a run folder."""
    command = ("train.py", (*flags_of(config), f"--checkpoint_path={run}"))
    return Job(run.name, run.with_name(f"{run.name}.job"), (command,), run / "config.json", run)


def _finish(study, trial, job, status, is_pruned):
    """Give a trial back to the study; return how it ended, text."""
    progress = progress_of(job.run)
    if not status["stopped"]:
        study.report(trial, progress)
    value = study.plan.objective.value(progress)
    if status["ok"] and value is not None:
        study.finish(trial, TrialState.COMPLETE, value)
        return study.plan.objective.text(value)
    if is_pruned and value is not None:
        study.finish(trial, TrialState.PRUNED)
        return f"stopped at step {progress.step}, {study.plan.objective.text(value)}"
    if not progress.step and "Out of memory" not in status.get("reason", ""):  # the trial is kept, to be taken again
        raise InputError(f"{job.name} failed before its first step, so the search ends: {_plain(status['reason'])}")
    reason = status.get("reason") or "no validation was a number"
    study.finish(trial, TrialState.FAIL, reason=reason)
    return f"FAILED: {reason}"


def _plain(reason):
    return reason.removeprefix("Error: ")
