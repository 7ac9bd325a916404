"""Numbers that were fitted for a few numbers of shots, at any number between them."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def interpolate_by_shots(count: Any, shots: Sequence[int], values: Any) -> tf.Tensor:
    """Interpolate linearly in the logarithm of the number of examples per class; constant outside.

    Args:
      count: mean number of examples per class, above 0, a float tensor of any shape.
      shots: rising numbers of examples per class that there are values for.
      values: one scalar for each of `shots`, floats or a tensor [len(shots)].

    Returns:
      Tensor of the shape of `count`.
    """
    x = tf.math.log(count)
    first, *others = tf.unstack(tf.convert_to_tensor(values, x.dtype))
    found = first + tf.zeros_like(x)
    for low, high, before, after in zip(shots, shots[1:], [first, *others], others, strict=False):
        share = (x - math.log(low)) / math.log(high / low)
        found += tf.clip_by_value(share, 0.0, 1.0) * (after - before)
    return found
