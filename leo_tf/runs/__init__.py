"""Run directories: their files, the trained model, results of other runs."""

from leo_tf.runs.load import load
from leo_tf.runs.run_dir import RunDirectory

__all__ = ["RunDirectory", "load"]
