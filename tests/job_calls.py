"""What the jobs of tests/execution leave behind."""

from leo_tf.execution import Job


def calls(job: Job) -> int:
    """Return how often a job's commands were called."""
    return len((job.folder / "calls").read_text())
