"""Keras layer that applies a fitted transform."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from leo_tf.transforms.fitting import FittedTransform


class FeatureTransform(keras.layers.Layer):
    """Apply a FittedTransform: unit length, center, multiply, unit length.

    Its mean and matrix are variables that no gradient changes, so that checkpoints and SavedModels hold them.

    Args:
      dim: dimensions of an embedding.
      kind: name of the transform, for messages.
      add_constant: append a coordinate that is always 1, for a bias.
    """

    def __init__(self, dim: int, kind: str = "none", add_constant: bool = False, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.kind, self.add_constant = kind, add_constant
        self.mean = self.add_weight(name="mean", shape=(dim,), initializer="zeros", trainable=False)
        self.matrix = self.add_weight(name="matrix", shape=(dim, dim), initializer="identity", trainable=False)
        self.built = True

    @property
    def fitted(self) -> FittedTransform:
        """The transform in NumPy, float32."""
        return FittedTransform(self.mean.numpy(), self.matrix.numpy())

    def set_fitted(self, fitted: FittedTransform) -> None:
        """Take over the values of a FittedTransform."""
        for variable, value in zip((self.mean, self.matrix), fitted, strict=True):
            variable.assign(value.astype(variable.dtype))

    def call(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Transform embeddings [..., dim]; the result has dim + 1 coordinates with add_constant."""
        embeddings = tf.convert_to_tensor(embeddings, self.compute_dtype)
        centered = tf.math.l2_normalize(embeddings, axis=-1) - tf.convert_to_tensor(self.mean)
        multiplied = tf.linalg.matvec(tf.convert_to_tensor(self.matrix), centered, transpose_a=True)
        features = tf.math.l2_normalize(multiplied, axis=-1)
        return tf.concat([features, tf.ones_like(features[..., :1])], axis=-1) if self.add_constant else features

    def apply(self, embeddings: np.ndarray) -> np.ndarray:
        """Transform embeddings [rows, dim] in NumPy, in float64 and by parts; return float32 as `call` does."""
        rows = self.fitted.apply(embeddings)
        return np.concatenate([rows, np.ones([len(rows), 1], rows.dtype)], axis=1) if self.add_constant else rows
