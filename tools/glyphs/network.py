"""A small convolutional network that embeds glyphs.

It is trained to classify the meta-train characters. The embedding is the third layer from the end, averaged over the
image: an intermediate layer, as in the paper, which takes features from inside a wide residual network. The layers
above it are for the training only and are dropped.

References: paper section 4.2.1, "we use features from an intermediate layer".
"""

from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from render import IMAGE_SIZE

from leo_tf.errors import InputError


class _Block(NamedTuple):
    filters: int
    kernel_size: int
    strides: int


_BLOCKS = (_Block(32, 5, 2), _Block(64, 3, 1), _Block(128, 3, 2), _Block(128, 3, 1))
_CLASSIFIER_BLOCK = _Block(256, 3, 2)
EMBEDDING_DIM = _BLOCKS[-1].filters

_EPOCHS = 3
_BATCH_SIZE = 128
_PEAK_LEARNING_RATE = 2e-3


def build_embedder() -> keras.Model:
    """Build the network from images [n, 28, 28, 1] in [0, 1] to embeddings [n, 128], with random weights."""
    image = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="image")
    features = image
    for number, block in enumerate(_BLOCKS):
        features = _convolve(features, block, f"block_{number}")
    embedding = keras.layers.GlobalAveragePooling2D(name="embedding")(features)
    return keras.Model(image, embedding, name="glyph_embedder")


def train_embedder(images: np.ndarray, seed: int) -> keras.Model:
    """Train the network to classify characters and return the part that embeds.

    Set the process's random state and TensorFlow's deterministic mode: the same machine gives the same weights.

    Args:
        images: uint8 [classes, examples, 28, 28], meta-train characters only.
        seed: seed of the weights and of the order of the images.

    Returns:
        A network as built by `build_embedder`.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    classes, examples = images.shape[:2]
    embedder = build_embedder()
    features = _convolve(embedder.get_layer("embedding").input, _CLASSIFIER_BLOCK, "classifier_block")
    logits = keras.layers.Dense(classes, name="logits")(keras.layers.Flatten()(features))
    classifier = keras.Model(embedder.input, logits)
    steps = _EPOCHS * -(-classes * examples // _BATCH_SIZE)
    classifier.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(_PEAK_LEARNING_RATE, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    labels = np.repeat(np.arange(classes), examples)
    classifier.fit(_as_input(images), labels, batch_size=_BATCH_SIZE, epochs=_EPOCHS, verbose=2)
    return embedder


def embed(embedder: keras.Model, images: np.ndarray) -> np.ndarray:
    """Embed images uint8 [..., 28, 28] as float16 [..., 128]."""
    embeddings = embedder.predict(_as_input(images), batch_size=512, verbose=0)
    return embeddings.astype(np.float16).reshape(*images.shape[:-2], EMBEDDING_DIM)


def get_weights(embedder: keras.Model) -> dict[str, np.ndarray]:
    """Return every weight by its path in the network, such as `block_0_convolution/kernel`."""
    return {weight.path: np.asarray(weight) for weight in embedder.weights}


def set_weights(embedder: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Give `embedder` the weights that `get_weights` returned.

    Raises:
        InputError: they are another network's: a name or a shape differs.
    """
    expected = {weight.path: tuple(weight.shape) for weight in embedder.weights}
    received = {path: tuple(array.shape) for path, array in weights.items()}
    if received != expected:
        differing = sorted(path for path in expected | received if expected.get(path) != received.get(path))
        raise InputError(
            f"The weights do not fit the glyph network; they differ in {', '.join(differing)}. "
            "Train new ones with `python tools/glyphs/generate.py --output=FOLDER --retrain`."
        )
    for weight in embedder.weights:
        weight.assign(weights[weight.path])


def _convolve(features: keras.KerasTensor, block: _Block, name: str) -> keras.KerasTensor:
    features = keras.layers.Conv2D(
        block.filters, block.kernel_size, block.strides, padding="same", use_bias=False, name=f"{name}_convolution"
    )(features)
    # With the default momentum of 0.99, a few hundred steps do not forget the first batches.
    features = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_normalization")(features)
    return keras.layers.ReLU(name=f"{name}_activation")(features)


def _as_input(images: np.ndarray) -> np.ndarray:
    return images.reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 1).astype(np.float32) / 255.0
