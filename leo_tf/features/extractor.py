"""Networks that turn images into embeddings, with their preprocessing and what is known of their training."""

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from leo_tf.data.extractor_metadata import METADATA_FILE, MODEL_FILE, read_extractor_metadata
from leo_tf.errors import InputError, first_line
from leo_tf.features.images import Loader, Preprocessing
from leo_tf.features.settings import VIEWS
from leo_tf.files import replace_file, write_json, writing


class Extractor:
    """A network that makes embeddings [n, dim] of normalised images [n, size, size, channels].

    `about` is for JSON: name, layer, weights_sha256, trained_on (list of classes, None if unknown).
    """

    def __init__(
        self, model: keras.Model, preprocessing: Preprocessing, about: dict[str, Any], views: str = "center"
    ) -> None:
        self.model, self.preprocessing, self.about, self.views = model, preprocessing, about, views
        self.dim = int(model.output.shape[-1])
        self.loader = Loader(preprocessing)
        side, channels = preprocessing.resize_size, preprocessing.channels
        specification = tf.TensorSpec([None, side, side, channels], tf.uint8)
        self._embed = tf.function(self.embed, input_signature=[specification], autograph=False)

    def embed(self, squares: tf.Tensor) -> tf.Tensor:
        """Return embeddings float32 [n, dim] of squares uint8 [n, side, side, channels]: the mean over the views."""
        crops = self.preprocessing.views(squares, self.views)
        features = self.model(tf.reshape(crops, [-1, *crops.shape[2:]]), training=False)
        return tf.reduce_mean(tf.reshape(tf.cast(features, tf.float32), [-1, crops.shape[1], self.dim]), axis=1)

    def description(self) -> dict[str, Any]:
        """Return its part of the metadata of embeddings and exports, for JSON."""
        return {"extractor": self.about, "preprocessing": self.preprocessing.to_json(), "views": self.views}

    def __call__(self, squares: np.ndarray) -> np.ndarray:
        """Return `embed` as a NumPy array; compiled."""
        return self._embed(squares).numpy()

    def save(self, folder: str | Path, metadata: Mapping[str, Any]) -> None:
        """Write extractor.keras, and the metadata of `extract.output` to extractor.json."""
        folder = Path(folder)
        with writing(folder / MODEL_FILE), replace_file(folder / MODEL_FILE) as file:
            file.write(_keras_file(self.model))
        write_json(folder / METADATA_FILE, metadata)

    @classmethod
    def load(cls, folder: str | Path) -> "Extractor":
        """Load what `save` wrote."""
        folder = Path(folder)
        metadata = read_extractor_metadata(folder)
        try:
            preprocessing = Preprocessing(**metadata["preprocessing"])
            about, views = metadata["extractor"], metadata["views"]
            if views not in VIEWS or not isinstance(about["name"], str):
                raise TypeError(f"views are {views!r:.80}")
        except (TypeError, KeyError) as error:
            raise InputError(
                f"{folder / METADATA_FILE} does not fit this version ({error}); extract the embeddings again."
            ) from None
        return cls(load_keras(folder / MODEL_FILE), preprocessing, about, views)


def pooled(model: keras.Model, layer: str = "") -> Any:
    """Return a layer's output, by default the model's first, averaged over the image if it has height and width."""
    output = model.get_layer(layer).output if layer else model.outputs[0]
    if len(output.shape) == 4:
        return keras.layers.GlobalAveragePooling2D(dtype="float32", name="features")(output)
    return output


def weights_digest(model: keras.Model) -> str:
    """Return the SHA-256 in hex of a model's weights, in their order."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).tobytes())
    return digest.hexdigest()


def load_keras(path: Path) -> keras.Model:
    """Load a .keras file, which is what the user brings."""
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as a Keras model ({first_line(error)}); expected a .keras file of layers that this "
            "version knows."
        ) from None


def _keras_file(model: keras.Model) -> bytes:
    """Return a model's .keras file without times, so that equal models give equal bytes."""
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
