"""Many runs at once, each in its own processes: on this machine or on a Ray cluster."""

from leo_tf.execution.executor import EXECUTORS, ExecutionConfig, Executor, make_executor, run_jobs
from leo_tf.execution.job import Job
from leo_tf.execution.progress_display import ProgressDisplay

__all__ = ["EXECUTORS", "ExecutionConfig", "Executor", "Job", "ProgressDisplay", "make_executor", "run_jobs"]
