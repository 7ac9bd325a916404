"""The terms of the meta-objective (paper equations 5-7), in the normalisations of the official code.

The published penalty weights are tuned to these normalisations: means over elements, not sums.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_SMALLEST_NORM = 1e-32


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return -log softmax(logits)[label]: logits [..., ways], labels [...] int -> [...] in nats."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return the fraction of correct predictions per task: logits [tasks, queries, ways], labels [tasks, queries]."""
    lead = logits - tf.gather(logits, labels, axis=-1, batch_dims=2)[..., tf.newaxis]
    return tf.reduce_mean(credit(lead, tf.reduce_max(lead, axis=-1), axis=-1), axis=-1)


def credit(lead: tf.Tensor, highest: tf.Tensor, axis: int) -> tf.Tensor:
    """Return 1 where the label's logit is the highest, 1/k where it shares that place with others, 0 elsewhere.

    So a classifier of zeros scores chance level, and one of NaN scores 0. `lead` holds the logits less the label's,
    `highest` is its maximum over `axis`, the classes.
    """
    sharing = tf.reduce_sum(tf.cast(lead >= 0, lead.dtype), axis=axis)
    return tf.where(tf.equal(highest, 0), tf.math.reciprocal_no_nan(sharing), tf.zeros_like(sharing))


def encoder_penalty(initial_latents: tf.Tensor, adapted_latents: tf.Tensor) -> tf.Tensor:
    """Return each task's mean squared distance from the initial to the adapted codes: [tasks, ..., dim] -> [tasks].

    No gradient flows into the adapted codes: the penalty pulls the encoder towards them, not the reverse.

    References:
      Paper equation 6, third term. Differs from the paper: a mean over elements, not a sum, as in the official code.
    """
    distance = tf.math.squared_difference(tf.stop_gradient(adapted_latents), initial_latents)
    return tf.reduce_mean(distance, axis=range(1, distance.shape.rank))


def l2_penalty(weights: Sequence[Any]) -> tf.Tensor:
    """Return half the squared norm of all weights (TF1's convention), a scalar.

    References:
      Paper equation 7, first term.
    """
    return tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(weight)) for weight in weights])


def orthogonality_penalty(matrix: Any) -> tf.Tensor:
    """Return the mean squared difference of the correlations between rows from the identity, a scalar.

    The matrix is the decoder's kernel [num_latents, outputs], with one row per latent dimension.

    References:
      Paper equation 7, second term. Differs from the paper: a mean of squares, not a norm, as in the official code.
    """
    matrix = tf.convert_to_tensor(matrix)
    norms = tf.norm(matrix, axis=1, keepdims=True)
    correlations = tf.matmul(matrix, matrix, transpose_b=True) / (
        tf.matmul(norms, norms, transpose_b=True) + tf.cast(_SMALLEST_NORM, matrix.dtype)
    )
    identity = tf.eye(matrix.shape[0], dtype=matrix.dtype)
    return tf.reduce_mean(tf.math.squared_difference(correlations, identity))
