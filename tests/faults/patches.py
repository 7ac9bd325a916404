"""Patches of a fork before its script runs, by name: `patch=["put_nan_into_batch", 57]`."""

import ctypes
import struct

_CAPSET, _VERSION = 126, 0x20080522  # of x86-64; Linux's third version of capabilities


def put_nan_into_batch(step, tasks=2):
    """Put NaN into the queries of the meta-batch of one training step."""
    import tensorflow as tf

    from leo_tf.data.episodes import EpisodeSampler

    sample = EpisodeSampler.sample

    def sample_nan(self, seed, first_task, num_tasks):
        episode = sample(self, seed, first_task, num_tasks)
        here = tf.equal(tf.cast(first_task, tf.int64), step * tasks)
        return episode._replace(query_x=tf.where(here, float("nan"), episode.query_x))

    EpisodeSampler.sample = sample_nan


def drop_capabilities():
    """Give up root's capabilities, so that the modes of files apply."""
    header, nothing = struct.pack("Ii", _VERSION, 0), bytes(24)
    if ctypes.CDLL(None, use_errno=True).syscall(_CAPSET, header, nothing):
        raise OSError(ctypes.get_errno(), "capset")
