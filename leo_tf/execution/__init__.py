"""Many runs at once, each in processes of its own: on this machine, or on a Ray cluster."""

from leo_tf.execution.executor import EXECUTORS, Execution, executor_of
from leo_tf.execution.job import Job
from leo_tf.execution.progress_display import View
from leo_tf.execution.scheduler import run_jobs

__all__ = ["EXECUTORS", "Execution", "Job", "View", "executor_of", "run_jobs"]
