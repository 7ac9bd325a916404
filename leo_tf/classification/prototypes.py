"""Class prototypes as the start of a classifier: what is decoded is then a correction to nearest class mean."""

import tensorflow as tf


def centred(means):
    """Return class means less their mean over the classes: [tasks, ways, dim] -> the same.

    What all classes share moves no softmax.

    References:
      Beyond the paper. Proto-MAML (Triantafillou et al., ICLR 2020, section 3.3) starts its classifier from prototypes.
    """
    return means - tf.reduce_mean(means, axis=1, keepdims=True)
