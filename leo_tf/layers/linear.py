"""A linear map over the last axis."""

import tensorflow as tf


def linear(inputs, kernel):
    """Multiply the last axis by a matrix: [..., rows] x [rows, columns] -> [..., columns].

    One two-dimensional product. `tf.matmul` would broadcast the kernel over the leading axes, and its gradient then
    holds one copy of the kernel for each of them.
    """
    flat = tf.matmul(tf.reshape(inputs, [-1, inputs.shape[-1]]), kernel)
    return tf.reshape(flat, tf.concat([tf.shape(inputs)[:-1], [kernel.shape[-1]]], axis=0))
