"""Class prototypes as a linear classifier."""

from typing import Any

import tensorflow as tf


def prototype_classifier(class_means: Any, bias: float = 0.0, scale: Any = 1.0) -> tf.Tensor:
    """Return scaled class means [tasks, ways, dim] as a linear classifier of the same shape.

    Their mean over the classes is subtracted: a term that all classes share does not change a softmax. With a bias, the
    last coordinate of the means is a constant 1; it gets the weight -bias s |m|^2 / 2, where m are the others and s is
    the scale, a scalar or one for each coordinate of m. With bias 1, logits are those of squared Euclidean distance,
    -s |x - m|^2 / 2.
    """
    if bias:
        class_means = class_means[..., :-1]
    weights = scale * class_means
    if bias:
        squares = tf.reduce_sum(weights * class_means, axis=-1, keepdims=True)
        weights = tf.concat([weights, -0.5 * bias * squares], axis=-1)
    return weights - tf.reduce_mean(weights, axis=1, keepdims=True)
