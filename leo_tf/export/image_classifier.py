"""From image files to answers: extractor, embedding transform and LEO in one."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from leo_tf.errors import InputError
from leo_tf.export.fitted import Fitted, fit
from leo_tf.files import expanded, npz, writing
from leo_tf.runs.run_dir import RunDirectory

_FITTED = "fitted.npz"
_EXTRACTOR = "extractor"
_AT_ONCE = 64
_WHAT = "the classes and classifier that ImageFewShotClassifier.save writes"


class ImageFewShotClassifier:
    """Tell new classes of images apart after a few photographs of each.

    Args:
      model: the folder of a run that was trained on embeddings by `leo_tf.features.extract`, or one that `save` wrote.
      calibrated: whether probabilities are at the temperature that `evaluate.py --calibrate` fitted.

    Attributes:
      classes_: [ways] the labels, sorted; there once it is fitted.
      folder: RunDirectory that it was read from.

    Raises:
      InputError: there is no such folder, or it has no extractor.

    Example:
      >>> try:
      ...     leo_tf.ImageFewShotClassifier.load("runs/birds")
      ... except leo_tf.InputError as error:
      ...     print(error)
      No run in runs/birds: ... expected the checkpoint_path of a run started with train.py.
    """

    def __init__(self, model, calibrated=False):
        self.folder, self._calibrated = RunDirectory(model), calibrated
        self.folder.config()
        if not (self.folder.path / _EXTRACTOR).is_dir():
            raise InputError(
                f"The run in {self.folder.path} has no feature extractor: it was trained on embeddings from elsewhere."
                " Expected a run on data made by python -m leo_tf.features.extract."
            )
        self._kept_extractor = None
        self._fitted: Any = None
        self.classes_ = None

    @classmethod
    def load(cls, path, calibrated=False):
        """Return the classifier in a folder: of a run, to be fitted; or as `save` left it, fitted or not."""
        classifier = cls(path, calibrated)
        if (classifier.folder.path / _FITTED).is_file():
            classifier._read_fitted()
        return classifier

    def fit(self, images, labels):
        """Adapt to labelled images.

        Args:
          images: paths, arrays (uint8, or floats in [0, 1], [height, width] or with channels last) or PIL images.
          labels: one each, of any kind that sorts; any number of images a class.

        Returns:
          self.

        Raises:
          InputError: an image cannot be read, or there are not as many labels, or no two classes.
        """
        images, labels = _as_list(images), np.asarray(labels)
        if labels.ndim != 1 or len(labels) != len(images):
            raise InputError(f"Got {len(images)} images and labels of shape {labels.shape}; expected one label each.")
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise InputError(f"Got images of {len(classes)} class{'es' * (not len(classes))}; expected at least 2.")
        embeddings = self.embed(images)
        from leo_tf.export.served import serve

        served = serve(self.folder.path)
        if served.embedding_dim != embeddings.shape[1]:
            raise InputError(
                f"The extractor in {self.folder.path} gives {embeddings.shape[1]} dimensions, its model was trained "
                f"on {served.embedding_dim}; put the run's own files back."
            )
        self._fitted, self.classes_ = fit(served, embeddings, numbers, self.temperature), classes
        return self

    def fit_folder(self, folder):
        """Adapt to a folder with a folder of images for each class, which is called as the folder is.

        Returns, raises: as `fit`.
        """
        from leo_tf.features.images.layouts import find_classes

        folder = expanded(folder)
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder; expected one with a folder of images for each class.")
        found = find_classes(folder)
        files = [file for each in found.values() for file in each]
        return self.fit(files, [name for name, each in found.items() for _ in each])

    def predict(self, images):
        """Return the most probable class of each image, an array; images as for `fit`."""
        return self._require_fitted()[self._scores(images).argmax(axis=1)]

    def predict_proba(self, images):
        """Return the probabilities [images, ways] of `classes_`; images as for `fit`."""
        self._require_fitted()
        scores = self._scores(images)
        return special.softmax(scores / self._fitted.temperature, axis=1)

    def embed(self, images):
        """Return the embeddings [images, dim] of images as for `fit`, as the extractor gives them."""
        images, extractor = _as_list(images), self.extractor
        parts = [np.zeros((0, extractor.dim), np.float32)]
        for first in range(0, len(images), _AT_ONCE):  # of any number of images a few are in memory
            squares = [self._square(first + i, image) for i, image in enumerate(images[first : first + _AT_ONCE])]
            parts.append(extractor.embed_squares(squares))
        return np.concatenate(parts)

    def save(self, folder):
        """Write all of it (extractor, preprocessing, embedding transform, LEO, and what was fitted) into a folder.

        Args:
          folder: an empty or new one, for `load` here or on another machine.

        Raises:
          InputError: it holds something, or cannot be written.
        """
        folder = expanded(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} is there already; expected a new or an empty folder.")
        best = self.folder.best_checkpoint()
        files = [self.folder.config_file, self.folder.data_file, *best.parent.glob(f"{best.name}.*")]
        files += [path for path in (self.folder.path / _EXTRACTOR).iterdir() if path.is_file()]
        if self.folder.calibration_file.is_file():
            files.append(self.folder.calibration_file)
        with writing(folder):
            for file in files:
                target = folder / file.relative_to(self.folder.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        if self._fitted is not None:
            self._write_fitted(folder)

    @property
    def temperature(self):
        """What scores are divided by for probabilities, float; 1 for LEO's own."""
        return self.folder.temperature() if self._calibrated else 1.0

    @property
    def fitted(self):
        """The Fitted; raises InputError before `fit`."""
        self._require_fitted()
        return self._fitted

    @property
    def extractor(self):
        """The Extractor, read when first needed."""
        if self._kept_extractor is None:
            from leo_tf.features.extractor import Extractor

            self._kept_extractor = Extractor.load(self.folder.path / _EXTRACTOR)
        return self._kept_extractor

    def _square(self, number, image):
        from leo_tf.features.images.pixels import UnreadableError

        try:
            return self.extractor.loader.square(_content(image))
        except (UnreadableError, OSError) as error:
            name = image if isinstance(image, str | os.PathLike) else f"image {number}"
            raise InputError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from None

    def _scores(self, images):
        return self._fitted.scores(self.embed(images))

    def _require_fitted(self):
        if self.classes_ is None:
            raise InputError("The classifier is not fitted; call fit or fit_folder with a few labelled images first.")
        return self.classes_

    def _write_fitted(self, folder):
        mean, matrix = self._fitted.transform or (np.zeros(0), np.zeros((0, 0)))
        npz.write(
            folder / _FITTED,
            classes=self.classes_,
            classifier=self._fitted.classifier,
            normalize=self._fitted.normalize,
            temperature=self._fitted.temperature,
            mean=mean,
            matrix=matrix,
        )

    def _read_fitted(self):
        expected = {"classes": ("Uiufb", 1), "classifier": ("f", 2), "normalize": ("b", 0), "temperature": ("f", 0)}
        fields = npz.read(self.folder.path / _FITTED, _WHAT, **expected, mean=("f", 1), matrix=("f", 2))
        transform = (fields["mean"], fields["matrix"]) if fields["mean"].size else None
        self._fitted = Fitted(fields["classifier"], fields["normalize"], transform, fields["temperature"])
        self.classes_ = fields["classes"]


def _as_list(images):
    """Return a list of images: one alone is a list of one, an array [n, height, width, channels] n images."""
    if isinstance(images, str | os.PathLike) or hasattr(images, "getexif"):
        return [images]
    return list(images)


def _content(image):
    """Return what `Loader.square` takes: the bytes of a path, else the image itself."""
    return Path(image).expanduser().read_bytes() if isinstance(image, str | os.PathLike) else image
