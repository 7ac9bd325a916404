"""Choice of the tf.distribute strategy."""

import functools
import os
from typing import Any

import tensorflow as tf

from leo_tf.errors import InputError


def make_strategy(
    mode: str, batch_size: int, name: str = "metatrain_batch_size", collectives: Any = None
) -> tf.distribute.Strategy:
    """Return the strategy for `--distribution`; of Collectives of many workers, theirs.

    In one process, "auto" mirrors over all GPUs if there are several; "none" uses one device; "mirrored" mirrors over
    all GPUs, or over all logical CPU devices if there is no GPU; "multi_worker" with a single worker is like "auto".
    Raises InputError if the batch size, a setting of this name, cannot be split evenly over the replicas.
    """
    if collectives is None:
        gpus = tf.config.list_logical_devices("GPU")
        devices = gpus or (tf.config.list_logical_devices("CPU") if mode == "mirrored" else [])
        if mode == "none" or len(devices) < 2:  # a MirroredStrategy of one device cannot update inside a tf.function
            return tf.distribute.get_strategy()
        replicas = len(devices)
    else:
        replicas = collectives.strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise InputError(
            f"{name}={batch_size} cannot be split evenly over {replicas} replicas; expected a multiple of {replicas}, "
            f"e.g. {-(-batch_size // replicas) * replicas}, or distribution=none.",
            *(name, "distribution"),
        )
    return collectives.strategy if collectives else _mirrored(tuple(device.name for device in devices))


def describe(strategy: tf.distribute.Strategy) -> str:
    """Return the devices of a strategy, as "2 CPU cores" or "4 GPUs"."""
    replicas, gpus = strategy.num_replicas_in_sync, tf.config.list_logical_devices("GPU")
    local = len(strategy.extended.worker_devices) if replicas > 1 else 1
    shares = ", a share of every meta-batch each"
    if replicas > local:
        return f"{replicas // local} workers, {replicas} replicas{shares}"
    if gpus:
        return "1 GPU" if replicas == 1 else f"{replicas} GPUs{shares}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = f"{cores} CPU core{'s' if cores != 1 else ''}"
    return text if replicas == 1 else f"{replicas} replicas on {text}{shares}"


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """Return the only strategy for these devices; the collectives of two strategies would have the same keys."""
    return tf.distribute.MirroredStrategy(list(devices))
