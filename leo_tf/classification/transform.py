"""The embedding transform of a model: fitted before meta-training, then part of its weights."""

import keras
import tensorflow as tf

from leo_tf.data import transform


class FeatureTransform(keras.layers.Layer):
    """Unit length, centre, multiply, unit length; see data.transform.

    Its numbers are variables that no gradient changes, so that checkpoints and SavedModels have them.

    Args:
      dim: dimensions of an embedding.
      constant: a coordinate that is always 1 joins the others, as the last.
    """

    def __init__(self, dim, constant=False, **kwargs):
        super().__init__(trainable=False, **kwargs)
        self.constant = constant
        self.mean = self.add_weight(name="mean", shape=(dim,), initializer="zeros", trainable=False)
        self.matrix = self.add_weight(name="matrix", shape=(dim, dim), initializer="identity", trainable=False)
        self.built = True

    def fit(self, table, *how):
        """Fit to the EmbeddingTable of the meta-training classes; arguments as of `data.transform.fit_transform`."""
        fitted = transform.fit_transform(table, *how)
        for variable, value in zip((self.mean, self.matrix), fitted, strict=True):
            variable.assign(value.astype(variable.dtype))

    def call(self, embeddings):
        """Transform embeddings [..., dim]; the result has dim + 1 coordinates with a constant."""
        embeddings = tf.convert_to_tensor(embeddings, self.compute_dtype)
        centred = tf.math.l2_normalize(embeddings, axis=-1) - tf.convert_to_tensor(self.mean)
        multiplied = tf.linalg.matvec(tf.convert_to_tensor(self.matrix), centred, transpose_a=True)
        moved = tf.math.l2_normalize(multiplied, axis=-1)
        return tf.concat([moved, tf.ones_like(moved[..., :1])], axis=-1) if self.constant else moved

    def of_table(self, table):
        """Return an EmbeddingTable with all its embeddings transformed."""
        return transform.transformed(table, self.mean.numpy(), self.matrix.numpy(), self.constant)
