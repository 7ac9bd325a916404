"""Counter-based random draws: every number is a function of (run seed, stream, task index, position in the task).

The draws of task t start at a fixed place of one Philox sequence, so that any slice of tasks can be drawn alone: a
meta-batch split over replicas, a resumed run and a run driven in larger chunks all see the same numbers, and there is no
random state to save. Use one *stream* for each purpose.
"""

import math

import tensorflow as tf

EPISODES, NOISE, VALIDATION, TEST, INITIAL_WEIGHTS = range(5)  # streams

_PHILOX = 1
_WORDS_PER_BLOCK = 4  # one Philox counter yields four 32-bit words
_UINT16_VALUES = 2**16


def stream_seed(seed, stream):
    """Return the seed pair of one stream of a run.

    Args:
      seed: run seed, an int or scalar integer tensor.
      stream: one of this module's streams.

    Returns:
      int64 tensor [2].
    """
    return tf.stack([tf.cast(seed, tf.int64), tf.cast(stream, tf.int64)])


def _words_per_task(count):
    return -(-count // _WORDS_PER_BLOCK) * _WORDS_PER_BLOCK


def _key_and_counter(seed, first_task, words_per_task):
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=tf.cast(seed, tf.int64))
    blocks = tf.cast(first_task, tf.int64) * (words_per_task // _WORDS_PER_BLOCK)
    return key, counter + tf.cast(tf.stack([blocks, tf.zeros_like(blocks)]), tf.uint64)


def normal(seed, first_task, num_tasks, count):
    """Draw standard normal numbers.

    Args:
      seed: [2] from `stream_seed`.
      first_task: index of the first task, scalar integer.
      num_tasks: number of tasks, int.
      count: numbers for each task, int.

    Returns:
      float32 tensor [num_tasks, count].
    """
    words = _words_per_task(count)
    key, counter = _key_and_counter(seed, first_task, words)
    draws = tf.raw_ops.StatelessRandomNormalV2(shape=[num_tasks, words], key=key, counter=counter, alg=_PHILOX)
    return draws[:, :count]


def integers(seed, first_task, num_tasks, count):
    """Draw integers uniformly from the whole int32 range.

    Args and shapes as in `normal`.

    Returns:
      int32 tensor [num_tasks, count].
    """
    words = _words_per_task(count)
    key, counter = _key_and_counter(seed, first_task, words)
    draws = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[num_tasks, words], key=key, counter=counter, alg=_PHILOX, dtype=tf.int32
    )
    return draws[:, :count]


def keep_probability(rate):
    """Return the probability with which `keep_mask` really keeps an element: 1 - rate to the nearest 1/65,536."""
    return min(round((1.0 - rate) * _UINT16_VALUES), _UINT16_VALUES - 1) / _UINT16_VALUES


def keep_mask(seed, first_task, num_tasks, count, rate):
    """Draw a dropout mask from 16 random bits an element.

    Halves the cost of 32-bit draws, which are a sizeable part of a LEO step. The keep probability is `keep_probability`,
    at most 7.7e-6 away from 1 - rate; scale kept elements by its exact inverse.

    Args:
      rate: probability of dropping an element, in [0, 1).
      others: as in `normal`.

    Returns:
      bool tensor [num_tasks, count], True where the element is kept.
    """
    pairs = math.ceil(count / 2)
    halves = tf.bitcast(integers(seed, first_task, num_tasks, pairs), tf.uint16)
    threshold = tf.constant(round(keep_probability(rate) * _UINT16_VALUES), tf.uint16)
    return tf.reshape(halves, [num_tasks, 2 * pairs])[:, :count] < threshold
