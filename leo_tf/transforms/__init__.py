"""Linear transforms of embeddings, fitted in NumPy on the meta-training classes and applied by one Keras layer.

All are applied in this order: unit length, center, multiply, unit length. Whitening makes every direction vary alike
within a class, so that distances to class means are relative to how much a class scatters. PLDA then weights every
direction by how well it separates classes.
"""

from typing import TYPE_CHECKING, Any

from leo_tf.transforms.fitting import FittedTransform, fit_transform, unit_length
from leo_tf.transforms.scatter import principal_scatter, within_class_scatter

__all__ = [
    "FeatureTransform",
    "FittedTransform",
    "fit_transform",
    "principal_scatter",
    "unit_length",
    "within_class_scatter",
]

if TYPE_CHECKING:
    from leo_tf.transforms.layer import FeatureTransform


def __getattr__(name: str) -> Any:
    """Import the layer when it is used: fitted classifiers predict without TensorFlow."""
    if name == "FeatureTransform":
        from leo_tf.transforms.layer import FeatureTransform

        return FeatureTransform
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
