"""The network and the preprocessing that a pre-training configuration describes."""

import keras

from leo_tf.features.images.preprocessing import GREY, Preprocessing
from leo_tf.features.settings import IMAGENET, ImageConfig, PretrainConfig
from leo_tf.features.wrn import wide_resnet


def preprocessing_of(images: ImageConfig) -> Preprocessing:
    """Return the Preprocessing that an ImageConfig describes."""
    mean, scale = GREY if images.color == "grey" else IMAGENET
    resize_size = images.resize_size or round(images.image_size * 1.15)
    return Preprocessing(resize_size, images.image_size, images.color, mean, scale, images.crop)


def build_network(
    config: PretrainConfig, num_classes: int, dropout: bool, synchronized: bool = False, dtype: str | None = None
) -> keras.Model:
    """Build the network of a PretrainConfig; arguments as in `wide_resnet`."""
    training, preprocessing = config.training, preprocessing_of(config.images)
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
