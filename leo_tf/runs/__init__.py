"""Folders of runs, and what is in them."""

from leo_tf.runs.folder import RunFolder
from leo_tf.runs.load import load

__all__ = ["RunFolder", "load"]
