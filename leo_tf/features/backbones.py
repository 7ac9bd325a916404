"""Extractors from a pre-training run, keras.applications, a .keras file or a SavedModel."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from leo_tf.data.extractor_metadata import METADATA_FILE
from leo_tf.errors import InputError, first_line
from leo_tf.features.extractor import Extractor, load_keras, pooled, weights_digest
from leo_tf.features.images import Preprocessing
from leo_tf.features.settings import PIXEL_SCALES, PretrainConfig
from leo_tf.files import expanded
from leo_tf.runs.run_dir import RunDirectory

_SIZES = {"Xception": 299, "InceptionV3": 299, "InceptionResNetV2": 299, "NASNetLarge": 331}  # the others: 224


def make_extractor(
    source: str | Path,
    layer: str = "",
    views: str = "center",
    weights: str = "imagenet",
    pixels: str = "0..255",
    image_size: int = 0,
    resize_size: int = 0,
) -> Extractor:
    """Make an Extractor; arguments as in ExtractConfig.

    The source may also be the folder of an extractor, or of a run that has one. The default layer is the middle of the
    last group of a pre-training run, and the output of other networks.
    """
    path = expanded(source)
    if (path / "config.json").is_file() and not (path / "extractor").is_dir():
        return _from_run(path, layer, views)
    for folder in (path, path / "extractor"):
        if (folder / METADATA_FILE).is_file():
            stored = Extractor.load(folder)
            if layer:
                raise InputError(
                    f"layer={layer} was given with {folder}, which ends at a layer; leave it out.", "layer"
                )
            return Extractor(stored.model, stored.preprocessing, stored.about, views)
    if path.exists():
        model = load_keras(path) if path.is_file() else _load_saved_model(path)
        about: dict[str, Any] = {"name": path.name, "trained_on": None}
        (mean, scale), color = PIXEL_SCALES[pixels], "rgb"
    elif hasattr(keras.applications, str(source)):
        size = image_size or _SIZES.get(str(source), 224)
        model, about, (mean, scale, color) = _application(str(source), weights, size, layer)
    else:
        raise InputError(
            f"extractor={source} is not a pre-training run, a .keras file, a SavedModel or a name in "
            "keras.applications, as ResNet50.",
            "extractor",
        )
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4 or model.inputs[0].shape[-1] not in (3, 1):
        raise InputError(
            f"{source} takes {[tuple(each.shape) for each in model.inputs]}; expected one input of images, [n, height, "
            "width, 3]."
        )
    side = image_size or model.inputs[0].shape[1]
    if side is None:
        raise InputError("The extractor takes images of any size; give image_size.", "image_size")
    if model.inputs[0].shape[-1] == 1:
        color, mean, scale = "grey", mean[:1], scale[:1]
    preprocessing = Preprocessing(resize_size or round(side * 1.15), side, color, mean, scale)
    return _cut(model, layer, preprocessing, about, views)


def _cut(model: keras.Model, layer: str, preprocessing: Preprocessing, about: dict[str, Any], views: str) -> Extractor:
    """Return the Extractor that ends at a layer, or at the output."""
    names = [each.name for each in getattr(model, "layers", [])]
    if layer and layer not in names:
        close = [name for name in names if layer.split("_")[0] in name][:8] or names[-8:]
        raise InputError(
            f"{about['name']} has no layer {layer!r}; expected the name of one, as {', '.join(close)}.", "layer"
        )
    output = pooled(model, layer)
    if len(output.shape) != 2 or output.shape[-1] is None:
        raise InputError(
            f"{about['name']} gives {tuple(output.shape)} at {layer or 'its output'}; expected [n, dim] or [n, height, "
            "width, channels]. Choose another layer.",
            "layer",
        )
    cut = keras.Model(model.inputs[0], output, name="extractor")
    about = about | {"layer": layer or "output", "weights_sha256": weights_digest(cut)}
    return Extractor(cut, preprocessing, about, views)


def _from_run(path: Path, layer: str, views: str) -> Extractor:
    from leo_tf.features.wrn import build_network, default_layer
    from leo_tf.runs.checkpoint_files import CORRUPTION, readable

    folder = RunDirectory(path, PretrainConfig)
    config, checkpoint, record = folder.config(), folder.best_checkpoint(), folder.data()
    # The checkpoint fits the network that was trained; embeddings need it without dropout, in float32.
    trained = build_network(config, record["num_classes"], dropout=True)
    plain = build_network(config, record["num_classes"], dropout=False, dtype="float32")
    try:
        with readable(checkpoint) as prefix:
            tf.train.Checkpoint(model=trained).read(prefix).assert_existing_objects_matched().expect_partial()
    except (*CORRUPTION, AssertionError) as error:
        raise InputError(
            f"The best checkpoint {checkpoint} does not fit the network in config.json ({first_line(error)}); restore "
            "the run's own files, or train again."
        ) from None
    plain.set_weights(trained.get_weights())
    network = config.network
    about = {
        "name": f"WRN-{network.depth}-{network.width}",
        "run": str(path),
        "step": folder.best_step(),
        "trained_on": record["classes"],
        "train_digest": record["train_digest"],
    }
    return _cut(plain, layer or default_layer(network), Preprocessing.of_config(config.images), about, views)


def _application(name: str, weights: str, size: int, layer: str) -> tuple[keras.Model, dict[str, Any], tuple]:
    """Return a model of keras.applications, a description, and its own preprocessing, affine for all of them."""
    about: dict[str, Any] = {"name": f"keras.applications {name}", "weights": weights}
    about["trained_on"] = [] if weights == "none" else None
    if weights == "imagenet":
        about["trained_on_note"] = "ImageNet, by keras.applications"
    whole = bool(layer) and weights == "imagenet" and size == _SIZES.get(name, 224)
    try:
        model = getattr(keras.applications, name)(
            include_top=whole,
            weights=None if weights == "none" else weights,
            input_shape=(size, size, 3),
            **({} if whole else {"pooling": "avg"}),
        )
    except Exception as error:
        raise InputError(
            f"keras.applications {name} with weights={weights} cannot be built ({first_line(error)}). Its weights are "
            "downloaded: download the file elsewhere and give weights=PATH, or use another extractor.",
            "weights",
        ) from None
    module = next(
        part for part in vars(keras.applications).values() if hasattr(part, "preprocess_input") and hasattr(part, name)
    )
    return model, about, affine_preprocessing(module.preprocess_input)


def affine_preprocessing(preprocess: Callable) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Return mean, scale and colour order of a function that is affine in the colours, found by calling it."""

    def output(red: float, green: float, blue: float) -> np.ndarray:
        pixel = np.array([red, green, blue], np.float32).reshape(1, 1, 1, 3)
        return np.asarray(preprocess(pixel), np.float64).ravel()

    zero = output(0, 0, 0)
    slopes = (np.stack([output(*row) for row in np.eye(3) * 255.0]) - zero) / 255.0  # [colour in, channel out]
    color = "rgb" if np.abs(np.diag(slopes)).min() > 0 else "bgr"
    slope = np.diag(slopes if color == "rgb" else slopes[::-1])
    return tuple((-zero / slope).round(4).tolist()), tuple((1 / slope).round(4).tolist()), color


def _load_saved_model(path: Path) -> keras.Model:
    """Return a Keras model of the serving signature of a SavedModel."""
    try:
        signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is not a SavedModel with a signature serving_default ({first_line(error)}).", "extractor"
        ) from None
    arguments = signature.structured_input_signature[1]
    if len(arguments) != 1 or len(signature.structured_outputs) != 1:
        raise InputError(
            f"{path} takes {list(arguments)} and gives {list(signature.structured_outputs)}; expected one of each."
        )
    (specification,), (key,) = arguments.values(), signature.structured_outputs
    image = keras.Input(specification.shape[1:], name="image")
    layer = keras.layers.TFSMLayer(path, call_endpoint="serving_default", dtype="float32")
    return keras.Model(image, layer(image)[key])
