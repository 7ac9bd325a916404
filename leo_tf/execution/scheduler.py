"""Scheduling a list of jobs; finished ones are skipped."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from leo_tf.execution.executor import Executor
from leo_tf.execution.job import Job
from leo_tf.execution.progress_display import ProgressDisplay

_POLL_SECONDS = 1.0


def run_jobs(
    jobs: Sequence[Job],
    executor: Executor,
    unit: str = "job",
    log: Callable[[str], None] = print,
    **display_options: Any,
) -> dict[str, dict[str, Any]]:
    """Run the jobs that are not finished.

    A failed job leaves the reason in its status, and the others continue; the next call retries it. A job that was
    stopped half-way resumes.

    Args:
      jobs: Jobs with different names.
      executor: Executor, entered.
      unit, log, **display_options: as in ProgressDisplay.

    Returns:
      {job name: status}; see `runner.run_job`.

    Raises:
      InputError: a job's folder cannot be written; no further job is started.
    """
    statuses = {job.name: status for job in jobs if (status := job.finished())}
    waiting = [job for job in jobs if job.name not in statuses]
    with ProgressDisplay(len(jobs), len(statuses), unit, log=log, **display_options) as display:
        running: dict[Future, Job] = {}
        while waiting or running:
            while waiting and len(running) < executor.capacity:
                job = waiting.pop(0)
                running[executor.submit(job)] = job
                display.started(job)
            done, _ = wait(running, _POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                status = statuses[job.name] = future.result()
                display.ended(job, "done" if status["ok"] else f"FAILED: {status['reason']}")
            display.refresh()
    return {job.name: statuses[job.name] for job in jobs}
