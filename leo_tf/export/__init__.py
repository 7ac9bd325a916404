"""A trained LEO as a SavedModel that needs nothing of this package to run."""

from leo_tf.export.saved_model import export, read_description

__all__ = ["export", "read_description"]
