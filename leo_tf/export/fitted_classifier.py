"""Classifiers adapted to one task, which predict in NumPy: without TensorFlow."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from leo_tf.errors import InputError
from leo_tf.transforms import FittedTransform, unit_length

if TYPE_CHECKING:
    from leo_tf.export.adapter import Adapter


class FittedClassifier(NamedTuple):
    """Linear classifier over features of embeddings."""

    weights: np.ndarray  # [ways, dim] float32, or [ways, dim + 1] with the bias in the last column
    normalize: bool  # whether embeddings are scaled to unit length first
    transform: FittedTransform | None

    def scores(self, embeddings: np.ndarray) -> np.ndarray:
        """Return the logits [examples, ways] of embeddings [examples, dim]."""
        features = embeddings
        if self.normalize:  # in float64, because the square of a float32 can exceed its range
            features = unit_length(features.astype(np.float64)).astype(np.float32)
        if self.transform is not None:
            features = self.transform.apply(features)
        dim = features.shape[1]
        scores = features @ self.weights[:, :dim].T
        return scores + self.weights[:, dim] if self.weights.shape[1] > dim else scores


def fit(adapter: "Adapter", embeddings: np.ndarray, labels: Any) -> tuple[FittedClassifier, np.ndarray]:
    """Adapt to embeddings float32 [examples, dim] with any labels [examples]; return the classifier and its classes."""
    import tensorflow as tf

    from leo_tf.export.validation import reason_of

    classes, numbers = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError(
            f"Got examples of {len(classes)} class{'es' * (not len(classes))}; expected at least two. Add labelled "
            "examples of another class."
        )
    if embeddings.shape[1] != adapter.embedding_dim:
        raise InputError(
            f"Got embeddings of {embeddings.shape[1]} dimensions; the model expects {adapter.embedding_dim}. Use the "
            "feature extractor that it was trained with."
        )
    try:
        adapted = adapter.adapt(
            support_x=tf.constant(embeddings[np.newaxis]), support_y=tf.constant(numbers[np.newaxis], tf.int32)
        )
    except tf.errors.InvalidArgumentError as error:
        raise InputError(reason_of(error)) from None
    weights = adapted["classifier"].numpy()[0]
    return FittedClassifier(weights, adapter.normalize, adapter.transform), classes
