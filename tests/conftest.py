"""Shared by all tests: two logical CPU devices, parsed flags, quiet logs, a small table and small episodes."""

import contextlib
import ctypes
import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from tensorflow.python.framework.ops import gradient_registry

from leo_tf.data import EmbeddingTable, Episode

# Before TensorFlow's first operation, after which devices are fixed.
tf.config.set_visible_devices([], "GPU")
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
tf.get_logger().setLevel("ERROR")
flags.FLAGS.mark_as_parsed()
GRADIENTS = gradient_registry._registry


def pytest_collection_finish():
    """Tell the collections below not to look at what has been imported, which stays."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def free_graphs():
    """Free models and traced functions after every module: a process would grow to several GB."""
    yield
    keras.backend.clear_session()
    for name in [name for name in GRADIENTS if name.startswith("CustomGradient")]:
        del GRADIENTS[name]  # Keras' optimizers leave one for every step that is traced, and it holds the step's graph
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # glibc alone gives memory back on request
        ctypes.CDLL(None).malloc_trim(0)


def class_clusters(rng, classes, examples, dim, spread=0.7):
    """Return rows [classes, examples, dim] scattered about a random centre for each class."""
    return rng.normal(size=(classes, 1, dim)) + spread * rng.normal(size=(classes, examples, dim))


@pytest.fixture(scope="session")
def table():
    """Nine classes of 24 random unit-length rows, dim 8."""
    rows = class_clusters(np.random.default_rng(0), 9, 24, 8)
    return EmbeddingTable.from_dict({f"class{n}": rows[n] for n in range(9)}, source="random table")


@pytest.fixture(scope="session")
def uneven_table():
    """Seven classes of 9 to 21 random unit-length rows, dim 8."""
    rows = class_clusters(np.random.default_rng(1), 7, 21, 8)
    sizes = [13, 9, 21, 10, 9, 17, 12]
    return EmbeddingTable.from_dict({f"class{n}": rows[n, :size] for n, size in enumerate(sizes)}, source="uneven")


@pytest.fixture(scope="session")
def make_episode():
    """A function that builds an Episode of random clusters."""

    def make(tasks=2, ways=3, shots=2, queries=4, dim=8, dtype="float64", seed=0):
        rows = class_clusters(np.random.default_rng(seed), tasks * ways, shots + queries, dim)
        rows = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).reshape(tasks, ways, shots + queries, dim)
        labels = np.broadcast_to(np.arange(ways, dtype=np.int32)[:, None], (tasks, ways, shots + queries))
        return Episode(
            tf.constant(rows[:, :, :shots], dtype),
            tf.constant(labels[:, :, :shots]),
            tf.constant(rows[:, :, shots:], dtype),
            tf.constant(labels[:, :, shots:]),
        )

    return make
