"""Wide residual networks (WRN-depth-width) of Keras layers, whose names give access to any inner layer.

The layers are `stem`, `group1_block1` (the sum at the end of a block) and its parts `group1_block1_relu1`, `..._conv1`
and so on, `relu` and `pool` after the last block, and `logits`.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from leo_tf import randomness
from leo_tf.features.images import Preprocessing
from leo_tf.features.settings import NetworkConfig, PretrainConfig

_MOMENTUM, _EPSILON = 0.9, 1e-5  # of batch normalisation, as in the authors' code
_COSINE_SCALE = 10.0  # initial value, as in the reference of CosineLogits
GROUPS = 3


class ExampleDropout(keras.layers.Layer):
    """Dropout whose mask is a function of (seed, layer's number, example's number), the same on many replicas."""

    def __init__(self, rate: float, seed: int = 0, number: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.seed, self.number = rate, seed, number

    def call(self, inputs: tf.Tensor, example: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Drop elements of inputs [n, ...]; example int64 [n] are consecutive numbers of the examples."""
        if not training or not self.rate:
            return inputs
        shape = tf.shape(inputs)
        size = int(tf.TensorShape(inputs.shape[1:]).num_elements())
        seed = randomness.stream_seed(self.seed, randomness.FEATURE_DROPOUT + self.number)
        draws = randomness.bits(seed, example[0], shape[0], size, tf.uint8)
        kept = tf.cast(tf.reshape(randomness.keep_mask(draws, self.rate), shape), inputs.dtype)
        return inputs * kept / tf.cast(randomness.keep_probability(self.rate), inputs.dtype)


@keras.saving.register_keras_serializable("leo_tf")
class CosineLogits(keras.layers.Layer):
    """Cosines of the angles between features and class weights, times a learned scale, as logits.

    References:
      Gidaris and Komodakis, "Dynamic Few-Shot Visual Learning without Forgetting", CVPR 2018, section 3.1.
    """

    def __init__(self, units: int, kernel_initializer: Any = "glorot_uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.kernel_initializer = units, keras.initializers.get(kernel_initializer)

    def build(self, shape: tuple) -> None:
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], self.units), initializer=self.kernel_initializer)
        self.scale = self.add_weight(name="scale", shape=(), initializer=keras.initializers.Constant(_COSINE_SCALE))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return logits [n, units] of features [n, dim]."""
        features = tf.math.l2_normalize(tf.cast(inputs, tf.float32), axis=-1)
        return self.scale * (features @ tf.math.l2_normalize(tf.convert_to_tensor(self.kernel), axis=0))

    def get_config(self) -> dict[str, Any]:
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "units": self.units, "kernel_initializer": initializer}


def wide_resnet(
    config: NetworkConfig,
    image_size: int,
    channels: int,
    num_classes: int,
    dropout: bool = False,
    seed: int = 0,
    synchronized: bool = False,
    dtype: str = "float32",
    extra: Mapping[str, int] | None = None,
) -> keras.Model:
    """Build the network from normalised images to logits.

    With dropout, the model has a second input, the numbers of the examples, int64 [n]. With `synchronized`, batch
    normalisation averages over all replicas. `extra` are additional linear outputs, {name: units}.

    References:
      Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016, section 2 and table 1.
    """
    seeds = itertools.count(1000 * seed)
    drops = itertools.count()
    image = keras.Input((image_size, image_size, channels), name="image")
    example = keras.Input((), name="example", dtype="int64") if dropout else None

    def convolution(x: Any, width: int, size: int, stride: int, name: str) -> Any:
        initializer = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=next(seeds))
        options = {"padding": "same", "use_bias": False, "kernel_initializer": initializer}
        return keras.layers.Conv2D(width, size, stride, **options, dtype=dtype, name=name)(x)

    def activation(x: Any, prefix: str, number: int | str = "") -> Any:
        norm = keras.layers.BatchNormalization(
            momentum=_MOMENTUM, epsilon=_EPSILON, synchronized=synchronized, dtype=dtype, name=f"{prefix}norm{number}"
        )
        return keras.layers.ReLU(dtype=dtype, name=f"{prefix}relu{number}")(norm(x))

    def block(x: Any, width: int, stride: int, name: str) -> Any:
        before = activation(x, f"{name}_", 1)
        changes = stride != 1 or x.shape[-1] != width
        shortcut = convolution(before, width, 1, stride, f"{name}_shortcut") if changes else x
        inner = convolution(before, width, 3, stride, f"{name}_conv1")
        inner = activation(inner, f"{name}_", 2)
        if dropout:
            layer = ExampleDropout(config.dropout_rate, seed, next(drops), dtype=dtype, name=f"{name}_dropout")
            inner = layer(inner, example)
        inner = convolution(inner, width, 3, 1, f"{name}_conv2")
        return keras.layers.Add(dtype=dtype, name=name)([inner, shortcut])

    x = convolution(image, config.stem_width, 3, 1, "stem")
    for group in range(1, GROUPS + 1):
        width, stride = 16 * 2 ** (group - 1) * config.width, config.first_stride if group == 1 else 2
        for number in range(1, config.blocks + 1):
            x = block(x, width, stride if number == 1 else 1, f"group{group}_block{number}")
    x = keras.layers.GlobalAveragePooling2D(dtype=dtype, name="pool")(activation(x, ""))

    def output(units: int, name: str, kind: Any = keras.layers.Dense) -> Any:
        initializer = keras.initializers.GlorotUniform(seed=next(seeds))
        return kind(units, kernel_initializer=initializer, dtype="float32", name=name)(x)

    logits = output(num_classes, "logits", CosineLogits if config.classifier == "cosine" else keras.layers.Dense)
    outputs = [logits] + [output(units, name) for name, units in (extra or {}).items()]
    inputs = [image, example] if dropout else image
    return keras.Model(inputs, outputs if extra else outputs[0], name=f"wrn_{config.depth}_{config.width}")


def build_network(
    config: PretrainConfig, num_classes: int, dropout: bool, synchronized: bool = False, dtype: str | None = None
) -> keras.Model:
    """Build the network of a PretrainConfig; arguments as in `wide_resnet`."""
    training, preprocessing = config.training, Preprocessing.of_config(config.images)
    return wide_resnet(
        config.network,
        preprocessing.image_size,
        preprocessing.channels,
        num_classes,
        dropout=dropout and config.network.dropout_rate > 0,
        seed=training.seed % 2**20,
        synchronized=synchronized,
        dtype=dtype or training.precision,
        extra={"rotation_logits": 4} if training.rotation_loss_weight else None,
    )


def default_layer(config: NetworkConfig) -> str:
    """Return the layer that features are taken from: half-way through the last group, `group3_block2` of WRN-28-10.

    The paper's layer 21 of 28, counted in convolutions, is the end of the second block of the last group.
    """
    return f"group{GROUPS}_block{max(1, config.blocks // 2)}"
