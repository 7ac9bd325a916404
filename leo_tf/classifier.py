"""A linear classifier for each task: what adaptation gives and evaluation scores."""

from typing import NamedTuple

import tensorflow as tf


class Classifier(NamedTuple):
    """A linear classifier for each task: logits = x . weights + bias."""

    weights: tf.Tensor  # [tasks, ways, dim]
    bias: tf.Tensor | None = None  # [tasks, ways]
