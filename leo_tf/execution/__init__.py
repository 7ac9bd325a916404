"""Many runs at once, each in its own processes: on this machine or on a Ray cluster."""

from leo_tf.execution.executor import EXECUTORS, ExecutionConfig, Executor, make_executor
from leo_tf.execution.job import Job
from leo_tf.execution.progress_display import ProgressDisplay
from leo_tf.execution.scheduler import run_jobs

__all__ = ["EXECUTORS", "ExecutionConfig", "Executor", "Job", "ProgressDisplay", "make_executor", "run_jobs"]
