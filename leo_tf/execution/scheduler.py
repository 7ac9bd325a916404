"""Run a list of jobs; what is finished is not done again."""

from concurrent.futures import FIRST_COMPLETED, Future, wait

from leo_tf.execution.job import Job
from leo_tf.execution.progress_display import View

_POLL_SECONDS = 1.0


def run_jobs(jobs, executor, unit="job", log=print, **shown):
    """Run the jobs that are not finished.

    A job that fails leaves its reason in its status, and the others go on; it is tried again the next time. A job that
    was stopped half-way goes on.

    Args:
      jobs: list of Job.
      executor: Executor, entered.
      unit: what a job is, for the view.
      log: is called with a line for each job that ends.
      **shown: what else a View takes.

    Returns:
      {job name: status}; see `work.do`.

    Raises:
      InputError: a job's folder cannot be written; nothing more is started.
    """
    statuses = {job.name: status for job in jobs if (status := job.finished())}
    waiting = [job for job in jobs if job.name not in statuses]
    with View(len(jobs), len(statuses), unit, log=log, **shown) as view:
        running: dict[Future, Job] = {}
        while waiting or running:
            while waiting and len(running) < executor.capacity:
                job = waiting.pop(0)
                running[executor.submit(job)] = job
                view.started(job)
            done, _ = wait(running, _POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                job, status = running.pop(future), future.result()
                statuses[job.name] = status
                view.ended(job, "done" if status["ok"] else f"FAILED: {status['reason']}")
            view.refresh()
    return {job.name: statuses[job.name] for job in jobs}
