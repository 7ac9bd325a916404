"""Linear discriminant analysis with the covariance that the meta-training classes share."""

from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf.classification.baselines.hyperparameters import positive
from leo_tf.classification.baselines.nearest_mean import class_means
from leo_tf.classification.metrics import LinearClassifier
from leo_tf.data import EmbeddingTable
from leo_tf.transforms import within_class_scatter


def shared_covariance(table: EmbeddingTable) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues [dim] and eigenvectors [dim, dim] of the covariance within the classes of a table."""
    variances, directions = np.linalg.eigh(within_class_scatter(table.embeddings, table.class_sizes)[1])
    return variances, directions


def lda(
    support_x: Any, support_y: Any, covariance: tuple[np.ndarray, np.ndarray], shrinkage: Any = 0.1
) -> LinearClassifier:
    """Return the classifier of normal densities with the support means and one covariance.

    Its logits are the log densities up to a term that is the same for all classes. The shrinkage, a number or a scalar
    tensor, is the share of the mean variance that is added to every direction's variance.
    """
    shrinkage = positive("shrinkage", shrinkage)
    support_x = tf.convert_to_tensor(support_x)
    variances = tf.constant(np.maximum(covariance[0], 0.0))  # rounding makes some of them negative
    directions = tf.constant(covariance[1], support_x.dtype)
    shrunk = tf.cast(variances + shrinkage * tf.reduce_mean(variances), support_x.dtype)
    means, _ = class_means(support_x, support_y)
    # einsum joins tasks and ways into one matrix; matmul would multiply task by task.
    along = tf.einsum("twd,de->twe", means, directions)
    weights = tf.einsum("twe,de->twd", along / shrunk, directions)
    return LinearClassifier(weights, -tf.reduce_sum(weights * means, axis=-1) / 2)
