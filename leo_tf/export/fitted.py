"""What an adapted classifier needs to predict, in NumPy: no TensorFlow."""

from typing import NamedTuple

import numpy as np


class Fitted(NamedTuple):
    """A linear classifier over embeddings, and how these are prepared for it."""

    classifier: np.ndarray  # [ways, dim] float32, or [ways, dim + 1] with the bias last
    normalize: bool  # whether embeddings are scaled to unit length first
    transform: tuple | None  # None, or mean [dim] and matrix [dim, dim]
    temperature: float  # what scores are divided by for probabilities

    def scores(self, embeddings):
        """Return the logits [examples, ways] of raw embeddings [examples, dim]."""
        if self.normalize:
            embeddings = unit_length(embeddings)
        if self.transform is not None:
            mean, matrix = self.transform
            embeddings = unit_length((unit_length(embeddings) - mean) @ matrix)
        weights, bias = self.weights_and_bias(embeddings.shape[1])
        return embeddings @ weights.T + bias

    def weights_and_bias(self, dim):
        """Return weights [ways, dim] and biases [ways] or, without them, [1]."""
        bias = self.classifier[:, dim] if self.classifier.shape[1] > dim else np.zeros(1, self.classifier.dtype)
        return self.classifier[:, :dim], bias


def unit_length(rows):
    """Scale rows [rows, dim] to unit Euclidean length, float32; rows of zeros stay zero."""
    wide = rows.astype(np.float64)  # the square of a float32 can leave the range of float32
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, length, out=np.zeros_like(wide), where=length > 0).astype(np.float32)


def fit(served, embeddings, labels, temperature):
    """Adapt to labelled embeddings.

    Args:
      served: Served.
      embeddings: float32 [examples, dim].
      labels: int [examples], 0..ways-1, each at least once.
      temperature: float.

    Returns:
      Fitted.

    Raises:
      InputError: more examples than a SavedModel takes.
    """
    import tensorflow as tf

    from leo_tf.errors import InputError
    from leo_tf.export.validation import reason_of

    try:
        adapted = served.adapt(
            support_x=tf.constant(embeddings[np.newaxis]), support_y=tf.constant(labels[np.newaxis], tf.int32)
        )
    except tf.errors.InvalidArgumentError as error:
        raise InputError(reason_of(error)) from None
    return Fitted(adapted["classifier"].numpy()[0], served.normalize, served.transform, temperature)
