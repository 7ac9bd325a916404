"""Linear transforms of embeddings, fitted in NumPy on the meta-training classes; `layer` applies them in TensorFlow.

All are applied in this order: unit length, center, multiply, unit length.
"""

from leo_tf.transforms.fitting import FittedTransform, plda_transform, whitening
from leo_tf.transforms.plda import Plda, fit_plda, gain
from leo_tf.transforms.scatter import principal_scatter, unit_length, within_class_scatter

__all__ = [
    "FittedTransform",
    "Plda",
    "fit_plda",
    "gain",
    "plda_transform",
    "principal_scatter",
    "unit_length",
    "whitening",
    "within_class_scatter",
]
