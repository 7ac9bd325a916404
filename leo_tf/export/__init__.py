"""Trained models as SavedModels, which run without this package, and as scikit-learn classifiers."""

from leo_tf.export.saved_model import export
from leo_tf.export.versions import read_description

__all__ = ["export", "read_description"]
