"""Linear transforms of embeddings, fitted in NumPy on the meta-training classes; `layer` applies them in TensorFlow.

All are applied in this order: unit length, center, multiply, unit length. Whitening makes every direction vary alike
within a class, so that distances to class means are relative to how much a class scatters. PLDA then weights every
direction by how well it separates classes.
"""

from leo_tf.transforms.fitting import FittedTransform, fit_transform, unit_length
from leo_tf.transforms.scatter import principal_scatter, within_class_scatter

__all__ = ["FittedTransform", "fit_transform", "principal_scatter", "unit_length", "within_class_scatter"]
