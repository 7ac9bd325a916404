"""Folders of runs: what is in them, the trained model, results of other runs."""

from leo_tf.runs.folder import RunFolder
from leo_tf.runs.load import load

__all__ = ["RunFolder", "load"]
