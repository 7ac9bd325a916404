"""What turns images into embeddings: a network up to a layer, its preprocessing, and what is known of its origin.

It comes from a pre-training run, from keras.applications, or from a .keras file or SavedModel; and is kept in a folder
of two files, extractor.keras and card.json, which training copies into the run.
"""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from leo_tf.data.extractor_metadata import read_card
from leo_tf.errors import InputError
from leo_tf.features.images import Loader, Preprocessing
from leo_tf.features.images.preprocessing import IMAGENET, VIEWS
from leo_tf.features.settings import PretrainConfig
from leo_tf.files import expanded, replace_file, write_json, writing
from leo_tf.runs.run_dir import RunDirectory

MODEL_FILE, CARD_FILE = "extractor.keras", "card.json"
PIXELS = {
    "0..255": ((0.0,) * 3, (1.0,) * 3),
    "0..1": ((0.0,) * 3, (255.0,) * 3),
    "-1..1": ((127.5,) * 3, (127.5,) * 3),
    "imagenet": IMAGENET,
}
_SIZES = {"Xception": 299, "InceptionV3": 299, "InceptionResNetV2": 299, "NASNetLarge": 331}  # the others: 224
_IMAGENET_CLASSES = "ImageNet, by keras.applications"


class Extractor:
    """Make embeddings of squares.

    Args:
      model: keras.Model, scaled images [n, size, size, channels] -> embeddings [n, dim].
      preprocessing: Preprocessing.
      about: dict that goes to JSON: name, layer, weights_sha256, trained_on (list of classes, or None where they are
        unknown).
      views: "center", "multiview" or "drawing"; see `Preprocessing.views`.
    """

    def __init__(self, model, preprocessing, about, views="center"):
        self.model, self.preprocessing, self.about, self.views = model, preprocessing, about, views
        self.dim = int(model.output.shape[-1])
        self.loader = Loader(preprocessing)
        side, channels = preprocessing.resize_size, preprocessing.channels
        specification = tf.TensorSpec([None, side, side, channels], tf.uint8)
        self._embed = tf.function(self.embed, input_signature=[specification], autograph=False)

    def embed(self, squares):
        """Return embeddings float32 [n, dim] of squares uint8 [n, side, side, channels]; the mean over the views."""
        crops = self.preprocessing.views(squares, self.views)
        features = self.model(tf.reshape(crops, [-1, *crops.shape[2:]]), training=False)
        return tf.reduce_mean(tf.reshape(tf.cast(features, tf.float32), [-1, crops.shape[1], self.dim]), axis=1)

    def __call__(self, squares):
        """Return embeddings, NumPy float32 [n, dim], of squares as `embed` takes them; compiled."""
        return self._embed(squares).numpy()

    def embed_squares(self, squares, batch_size=64):
        """Return embeddings [n, dim] of any number of squares."""
        starts = range(0, len(squares), batch_size)
        parts = [self(np.stack(squares[first : first + batch_size])) for first in starts]
        return np.concatenate([np.zeros((0, self.dim), np.float32), *parts])

    def save(self, folder, card):
        """Write extractor.keras and card.json, the card as `extract` made it."""
        folder = Path(folder)
        with writing(folder / MODEL_FILE), replace_file(folder / MODEL_FILE) as file:
            file.write(_bytes_of(self.model))
        write_json(folder / CARD_FILE, card)

    @classmethod
    def load(cls, folder):
        """Read what `save` wrote.

        Raises:
          InputError: it is missing or damaged.
        """
        folder = Path(folder)
        card = read_card(folder)
        try:
            preprocessing = Preprocessing(**card["preprocessing"])
            about, views = card["extractor"], card["views"]
            if views not in VIEWS or not isinstance(about["name"], str):
                raise TypeError(f"views are {views!r:.80}")
        except (TypeError, KeyError) as error:
            raise InputError(f"{folder / CARD_FILE} is of another version ({error}); extract again.") from None
        return cls(_load_keras(folder / MODEL_FILE), preprocessing, about, views)


def make_extractor(source, layer="", views="center", weights="imagenet", pixels="", image_size=0, resize_size=0):
    """Make the Extractor that a user names.

    Args:
      source: folder of a pre-training run; folder of an extractor, or of a run that has one; name in
        keras.applications; path of a .keras file or of a SavedModel.
      layer: name of a layer; by default the middle of the last group of a pre-training run, and the output of others.
      views: "center", "multiview" or "drawing"; see `Preprocessing.views`.
      weights: of keras.applications: "imagenet", "none" for untrained ones, or a path.
      pixels: of a file: what it was trained on, a key of PIXELS; default "0..255".
      image_size, resize_size: of keras.applications and files; by default the model's own size, and 1.15 times it.

    Raises:
      InputError: there is no such thing, it has no such layer, or weights cannot be fetched.
    """
    path = expanded(source)
    about: dict[str, Any]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    if (path / "config.json").is_file() and not (path / "extractor").is_dir():
        return _of_run(path, layer, views)
    for folder in (path, path / "extractor"):
        if (folder / CARD_FILE).is_file():
            kept = Extractor.load(folder)
            if layer:
                raise InputError(f"layer={layer} was given with {folder}, which ends at a layer; leave it out.")
            return Extractor(kept.model, kept.preprocessing, kept.about, views)
    if path.exists():
        model = _load_keras(path) if path.is_file() else _load_saved_model(path)
        mean, scale = PIXELS[pixels or "0..255"]
        about, color = {"name": path.name, "trained_on": None}, "rgb"
    elif hasattr(keras.applications, source):
        model, mean, scale, color = _application(source, weights, image_size or _SIZES.get(source, 224), layer)
        about = {"name": f"keras.applications {source}", "weights": weights}
        about["trained_on"] = [] if weights == "none" else None
        if weights == "imagenet":
            about["trained_on_note"] = _IMAGENET_CLASSES
    else:
        raise InputError(
            f"extractor={source} is no pre-training run, no .keras file or SavedModel, and no name in "
            "keras.applications, as ResNet50."
        )
    size = image_size or _size_of(model)
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4 or model.inputs[0].shape[-1] not in (3, 1):
        raise InputError(
            f"{source} takes {[tuple(each.shape) for each in model.inputs]}; expected one input of images, [n, height, "
            "width, 3]."
        )
    if model.inputs[0].shape[-1] == 1:
        color, mean, scale = "grey", mean[:1], scale[:1]
    preprocessing = Preprocessing(resize_size or round(size * 1.15), size, color, mean, scale)
    return _cut(model, layer, preprocessing, about, views)


def weights_digest(model):
    """Return the SHA-256 in hex of a model's weights, in their order."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).tobytes())
    return digest.hexdigest()


def _of_run(path, layer, views):
    from leo_tf.features.pretrain.work import build_network, preprocessing_of
    from leo_tf.features.wrn import default_layer
    from leo_tf.runs.checkpoint_files import DAMAGE, readable

    folder = RunDirectory(path, PretrainConfig)
    config, checkpoint, record = folder.config(), folder.best_checkpoint(), folder.data()
    # Once as it was trained, to read the checkpoint into; once without dropout, in float32.
    trained = build_network(config, record["num_classes"], dropout=True)
    plain = build_network(config, record["num_classes"], dropout=False, dtype="float32")
    try:
        with readable(checkpoint) as prefix:
            tf.train.Checkpoint(model=trained).read(prefix).assert_existing_objects_matched().expect_partial()
    except (*DAMAGE, AssertionError) as error:
        raise InputError(
            f"The best checkpoint {checkpoint} is of another network than config.json says "
            f"({str(error).splitlines()[0][:200]}); put the run's own files back, or train again."
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
    return _cut(plain, layer or default_layer(network), preprocessing_of(config.images), about, views)


def _cut(model, layer, preprocessing, about, views):
    """Return the Extractor that ends at a layer, or at the output, averaged over the image."""
    names = [each.name for each in getattr(model, "layers", [])]
    if layer and layer not in names:
        close = [name for name in names if layer.split("_")[0] in name][:8] or names[-8:]
        raise InputError(f"{about['name']} has no layer {layer!r}; expected the name of one, as {', '.join(close)}.")
    output = model.get_layer(layer).output if layer else model.outputs[0]
    if len(output.shape) == 4:
        output = keras.layers.GlobalAveragePooling2D(dtype="float32", name="features")(output)
    if len(output.shape) != 2 or output.shape[-1] is None:
        raise InputError(
            f"{about['name']} gives {tuple(output.shape)} at {layer or 'its output'}; expected [n, dim] or [n, height, "
            "width, channels]. Choose another layer."
        )
    cut = keras.Model(model.inputs[0], output, name="extractor")
    return Extractor(
        cut, preprocessing, about | {"layer": layer or "output", "weights_sha256": weights_digest(cut)}, views
    )


def _application(name, weights, size, layer):
    """Build a model of keras.applications; return it and its own preprocessing, which is affine for all of them."""
    build = getattr(keras.applications, name)
    given: Any = None if weights == "none" else weights
    whole = bool(layer) and weights == "imagenet" and size == _SIZES.get(name, 224)
    try:
        model = build(
            include_top=whole, weights=given, input_shape=(size, size, 3), **({} if whole else {"pooling": "avg"})
        )
    except Exception as error:
        raise InputError(
            f"keras.applications {name} with weights={weights} cannot be made ({str(error).splitlines()[0][:200]}). "
            "Its weights are fetched from the network: fetch the file elsewhere and give weights=PATH, or take another "
            "extractor."
        ) from None
    module = next(
        part for part in vars(keras.applications).values() if hasattr(part, "preprocess_input") and hasattr(part, name)
    )
    return model, *_affine(module.preprocess_input)


def _affine(preprocess):
    """Find mean, scale and colour order of a function that is affine in the colours, by asking it."""
    white = 255.0

    def answer(red, green, blue):
        pixel = np.array([red, green, blue], np.float32).reshape(1, 1, 1, 3)
        return np.asarray(preprocess(pixel), np.float64).ravel()

    zero = answer(0, 0, 0)
    slopes = (np.stack([answer(*row) for row in np.eye(3) * white]) - zero) / white  # [colour in, channel out]
    color = "rgb" if np.abs(np.diag(slopes)).min() > 0 else "bgr"
    slope = np.diag(slopes if color == "rgb" else slopes[::-1])
    return tuple((-zero / slope).round(4).tolist()), tuple((1 / slope).round(4).tolist()), color


def _size_of(model):
    size = model.inputs[0].shape[1]
    if size is None:
        raise InputError("The extractor takes images of any size; give image_size.")
    return int(size)


def _load_keras(path):
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(
            f"{path} cannot be read as a Keras model ({lines[0][:200]}); expected a .keras file of layers that this "
            "version has."
        ) from None


def _load_saved_model(path):
    """Return a Keras model around the serving signature of a SavedModel."""
    try:
        loaded = tf.saved_model.load(str(path))
        signature = loaded.signatures["serving_default"]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is no SavedModel with a signature serving_default ({str(error).splitlines()[0][:200]})."
        ) from None
    arguments = signature.structured_input_signature[1]
    if len(arguments) != 1 or len(signature.structured_outputs) != 1:
        raise InputError(
            f"{path} takes {list(arguments)} and gives {list(signature.structured_outputs)}; expected one of each."
        )
    (specification,), (key,) = arguments.values(), signature.structured_outputs
    image = keras.Input(specification.shape[1:], name="image")
    layer = keras.layers.TFSMLayer(path, call_endpoint="serving_default")
    return keras.Model(image, layer(image)[key])


def _bytes_of(model):
    """Return a model's .keras file, the same bytes for the same model: an archive without times."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL_FILE
        model.save(path)
        result = io.BytesIO()
        with zipfile.ZipFile(path) as before, zipfile.ZipFile(result, "w") as after:
            for member in before.infolist():
                content = before.read(member)
                if member.filename == "metadata.json":
                    content = json.dumps(json.loads(content) | {"date_saved": ""}).encode()
                after.writestr(zipfile.ZipInfo(member.filename), content)
    return result.getvalue()
