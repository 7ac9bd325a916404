"""Choice of the tf.distribute strategy."""

import functools
import os

import tensorflow as tf

from leo_tf.errors import InputError


def make_strategy(mode, batch_size, name="metatrain_batch_size"):
    """Return the strategy for `--distribution`.

    Args:
      mode: "auto" mirrors over all GPUs if there are several; "none" uses one device; "mirrored" mirrors over all GPUs,
        or over all logical CPU devices where there is no GPU; "multi_worker" is what its one worker does, as "auto". Of
        several workers the strategy is made by `workers.join`.
      batch_size: tasks or images in a step, to be split evenly over the replicas.
      name: of the setting of the batch's size.

    Raises:
      InputError: the batch does not divide over the replicas.
    """
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or (tf.config.list_logical_devices("CPU") if mode == "mirrored" else [])
    if mode == "none" or len(devices) < 2:  # a MirroredStrategy of one device cannot update inside a tf.function
        return tf.distribute.get_strategy()
    require_even(batch_size, len(devices), name)
    return _mirrored(tuple(device.name for device in devices))


def strategy_of(collectives, mode, batch_size, name="metatrain_batch_size"):
    """Return the strategy of a Collectives of workers, or what `make_strategy` makes where there is none.

    Raises:
      InputError: the batch does not divide over the replicas of all workers.
    """
    if collectives is None:
        return make_strategy(mode, batch_size, name)
    require_even(batch_size, collectives.strategy.num_replicas_in_sync, name)
    return collectives.strategy


def require_even(batch_size, replicas, name="metatrain_batch_size"):
    """Raise InputError unless a batch divides over replicas; arguments as for `make_strategy`."""
    if batch_size % replicas:
        raise InputError(
            f"{name}={batch_size} does not divide over {replicas} replicas; expected a multiple of {replicas}, e.g. "
            f"{-(-batch_size // replicas) * replicas}, or distribution=none."
        )


def describe(strategy):
    """Return what a strategy computes on, as "2 CPU cores" or "4 GPUs"."""
    replicas, gpus = strategy.num_replicas_in_sync, tf.config.list_logical_devices("GPU")
    here = len(strategy.extended.worker_devices) if replicas > 1 else 1
    if replicas > here:
        return f"{replicas // here} workers, {replicas} replicas, a share of every meta-batch each"
    if gpus:
        return "1 GPU" if replicas == 1 else f"{replicas} GPUs, a share of every meta-batch each"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = f"{cores} CPU core{'s' if cores != 1 else ''}"
    return text if replicas == 1 else f"{replicas} replicas on {text}, a share of every meta-batch each"


@functools.cache
def _mirrored(devices):
    """Return the one strategy over these devices: TensorFlow numbers collectives by strategy, and two would collide."""
    return tf.distribute.MirroredStrategy(list(devices))
