"""Keras layers of a fixed transform, and of a PLDA whose axes are corrected by training."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from leo_tf.transforms.fitting import FittedTransform
from leo_tf.transforms.plda import Plda, gain


class FixedTransform(keras.layers.Layer):
    """Apply a FittedTransform: unit length, center, multiply, unit length."""

    def __init__(self, fitted: FittedTransform, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        dim = len(fitted.mean)
        self.mean = self.add_weight(name="mean", shape=(dim,), initializer="zeros", trainable=False)
        self.matrix = self.add_weight(name="matrix", shape=(dim, dim), initializer="identity", trainable=False)
        for variable, value in zip((self.mean, self.matrix), fitted, strict=True):
            variable.assign(value.astype(variable.dtype))
        self.built = True

    def call(self, embeddings: tf.Tensor) -> tf.Tensor:
        centred = tf.math.l2_normalize(embeddings, axis=-1) - tf.convert_to_tensor(self.mean)
        return tf.math.l2_normalize(tf.tensordot(centred, tf.convert_to_tensor(self.matrix), 1), axis=-1)


class LearnedPlda(keras.layers.Layer):
    """Features in the axes of PLDA: unit length, center, multiply by axes (I + M), multiply by `metric`, unit length.

    `metric` weights the axes by how well they separate classes of one example; in it, features of unit length serve
    every number of examples. Mean, axes and metric are fitted before training and stay; M and the logarithms of the
    between-class variances are trained.
    """

    correction_scale = 0.1  # of M, so that it moves by a tenth of what a learning rate moves other variables by

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        fixed = {"trainable": False}
        self.mean = self.add_weight(name="mean", shape=(dim,), initializer="zeros", **fixed)
        self.axes = self.add_weight(name="axes", shape=(dim, dim), initializer="identity", **fixed)
        self.metric = self.add_weight(name="metric", shape=(dim,), initializer="ones", **fixed)
        self.correction = self.add_weight(name="correction", shape=(dim, dim), initializer="zeros")
        self.log_variances = self.add_weight(name="log_variances", shape=(dim,), initializer="zeros")
        self.built = True

    def set_fitted(self, plda: Plda) -> None:
        """Take over the values of a Plda, with no correction."""
        values = plda.mean, plda.axes, gain(plda.variances, 1), np.log(plda.variances), np.zeros_like(plda.axes)
        variables = self.mean, self.axes, self.metric, self.log_variances, self.correction
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value.astype(variable.dtype))

    @property
    def variances(self) -> tf.Tensor:
        """Between-class variances by axis, [dim]."""
        return tf.exp(tf.convert_to_tensor(self.log_variances))

    def fixed_part(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Return embeddings [..., dim] in the axes of PLDA, before what is learned."""
        embeddings = tf.cast(embeddings, self.compute_dtype)
        centred = tf.math.l2_normalize(embeddings, axis=-1) - tf.convert_to_tensor(self.mean)
        return tf.tensordot(centred, tf.convert_to_tensor(self.axes), 1)

    def learned_part(self, rows: tf.Tensor) -> tf.Tensor:
        """Correct the result of `fixed_part`, weight its axes, and scale to unit length."""
        moved = self.correction_scale * tf.tensordot(rows, tf.convert_to_tensor(self.correction), 1)
        return tf.math.l2_normalize((rows + moved) * tf.convert_to_tensor(self.metric), axis=-1)

    def call(self, embeddings: tf.Tensor) -> tf.Tensor:
        return self.learned_part(self.fixed_part(embeddings))

    @property
    def fitted(self) -> FittedTransform:
        """The whole transform in NumPy, float64."""
        mean, axes, metric, correction = (
            each.numpy().astype(np.float64) for each in (self.mean, self.axes, self.metric, self.correction)
        )
        return FittedTransform(mean, (axes + self.correction_scale * axes @ correction) * metric)
