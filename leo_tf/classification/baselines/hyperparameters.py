"""Hyperparameters of baselines, which are numbers or, while they are chosen, tensors."""

from typing import Any

import tensorflow as tf

from leo_tf.errors import InputError


def positive(name: str, value: Any) -> tf.Tensor:
    """Return a hyperparameter as a float64 scalar; raises InputError if it is a number that is not above 0."""
    if not tf.is_tensor(value) and not isinstance(value, tf.Variable) and not value > 0:
        raise InputError(f"Got {name}={value!r}; expected a number above 0.")
    return tf.cast(value, tf.float64)
