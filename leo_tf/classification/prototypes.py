"""Class prototypes as the start of a classifier: what is decoded is then a correction to nearest class mean."""

import tensorflow as tf


def centred(means, bias=0.0):
    """Return class means as a linear classifier, less their mean over the classes: [tasks, ways, dim] -> the same.

    What all classes share moves no softmax.

    Args:
      means: of each class's support.
      bias: above 0 the last coordinate is a constant 1, and gets the weight -bias |m|^2 / 2 of the others' mean m: at 1
        logits are those of squared Euclidean distance, -|x - m|^2 / 2.

    References:
      Beyond the paper. Proto-MAML (Triantafillou et al., ICLR 2020, section 3.3) starts its classifier from prototypes,
      with this bias.
    """
    if bias:
        means = means[..., :-1]
        means = tf.concat([means, -0.5 * bias * tf.reduce_sum(means**2, axis=-1, keepdims=True)], axis=-1)
    return means - tf.reduce_mean(means, axis=1, keepdims=True)
