"""Class prototypes as the start of a classifier: what is decoded is then a correction to nearest class mean."""

import tensorflow as tf


def centred(means, unit=False):
    """Return class means less their mean over the classes: [tasks, ways, dim] -> the same.

    What all classes share moves no softmax.

    Args:
      means: of each class's support.
      unit: scale them to unit length before. Else the class whose examples agree most has the longest mean, and with
        it the highest logits.

    References:
      Beyond the paper. Proto-MAML (Triantafillou et al., ICLR 2020, section 3.3) starts its classifier from prototypes.
    """
    means = tf.math.l2_normalize(means, axis=-1) if unit else means
    return means - tf.reduce_mean(means, axis=1, keepdims=True)
