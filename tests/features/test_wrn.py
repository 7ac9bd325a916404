"""The network has the published size and shapes; dropout depends on the number of the example."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from leo_tf import InputError
from leo_tf.features.settings import NetworkConfig
from leo_tf.features.wrn import ExampleDropout, default_layer, wide_resnet


def size_of(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def test_wrn_28_10_is_the_published_one():
    """36.5 M parameters at 10 classes: Zagoruyko and Komodakis 2016, table 4; groups of table 1."""
    model = wide_resnet(NetworkConfig(first_stride=1), 32, 3, 10)
    assert size_of(model) == 36_479_194
    shapes = {name: tuple(model.get_layer(name).output.shape[1:]) for name in ("stem", "group1_block4", "pool")}
    assert shapes == {"stem": (32, 32, 16), "group1_block4": (32, 32, 160), "pool": (640,)}
    assert tuple(model.get_layer("group2_block1").output.shape[1:]) == (16, 16, 320)
    assert tuple(model.get_layer("group3_block4").output.shape[1:]) == (8, 8, 640)
    convolutions = [layer for layer in model.layers if "conv" in layer.name or layer.name == "stem"]
    assert len(convolutions) + 1 + 2 == 28  # the linear layer, and two that the count of the name has for the shortcuts


def test_leo_variant_has_three_reductions():
    model = wide_resnet(NetworkConfig(depth=10, width=1, stem_width=80), 80, 3, 64)
    assert [model.get_layer(f"group{g}_block1").output.shape[1] for g in (1, 2, 3)] == [40, 20, 10]
    assert model.get_layer("stem").output.shape[-1] == 80
    assert default_layer(NetworkConfig()) == "group3_block2"
    assert default_layer(NetworkConfig(depth=10)) == "group3_block1"


def test_impossible_depth_is_refused():
    with pytest.raises(InputError, match="depth=12 was given; expected 6n"):
        NetworkConfig(depth=12)


def test_weights_depend_on_the_seed():
    a, b, c = (wide_resnet(NetworkConfig(depth=10, width=1), 8, 1, 3, seed=seed).get_weights() for seed in (0, 0, 1))
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not np.array_equal(a[0], c[0])


def test_dropout_does_not_depend_on_the_batch():
    layer = ExampleDropout(0.5, seed=3, number=1)
    ones = tf.ones([8, 5, 5, 4])
    whole = layer(ones, tf.range(16, 24, dtype=tf.int64), training=True).numpy()
    half = layer(ones[:4], tf.range(20, 24, dtype=tf.int64), training=True).numpy()
    np.testing.assert_array_equal(whole[4:], half)
    assert set(np.unique(whole)) == {0.0, 2.0} and abs(whole.mean() - 1) < 0.15
    assert not np.array_equal(whole[0], whole[1])
    np.testing.assert_array_equal(layer(ones, tf.range(8, dtype=tf.int64)), ones)
    other = ExampleDropout(0.5, seed=3, number=2)(ones, tf.range(16, 24, dtype=tf.int64), training=True).numpy()
    assert not np.array_equal(whole, other)


def test_dropout_acts_only_in_training():
    config = NetworkConfig(depth=10, width=1)
    model = wide_resnet(config, 8, 1, 3, dropout=True)
    images, numbers = tf.random.stateless_normal([4, 8, 8, 1], [0, 1]), tf.range(4, dtype=tf.int64)
    quiet = model([images, numbers], training=False)
    plain = wide_resnet(config, 8, 1, 3)
    plain.set_weights(model.get_weights())
    np.testing.assert_allclose(quiet, plain(images, training=False), atol=1e-6)
    first, second = (model([images, numbers + shift], training=True).numpy() for shift in (0, 4))
    assert not np.allclose(first, second)


def test_cosine_logits_are_scaled_cosines():
    config = NetworkConfig(depth=10, width=1, classifier="cosine")
    model = wide_resnet(config, 8, 1, 3)
    images = tf.random.stateless_normal([4, 8, 8, 1], [0, 1])
    features = keras.Model(model.inputs, model.get_layer("pool").output)(images, training=False).numpy()
    layer = model.get_layer("logits")
    kernel = layer.kernel.numpy()
    cosines = features @ kernel / np.linalg.norm(features, axis=1)[:, None] / np.linalg.norm(kernel, axis=0)
    np.testing.assert_allclose(model(images, training=False), 10 * cosines, atol=1e-5)
    assert size_of(model) == size_of(wide_resnet(NetworkConfig(depth=10, width=1), 8, 1, 3)) - 3 + 1
