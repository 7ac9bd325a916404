"""Few-shot classification of images: feature extractor and meta-trained model in one."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from leo_tf.errors import InputError
from leo_tf.export.fitted_classifier import FittedClassifier, fit
from leo_tf.files import expanded, identity, npz, writing
from leo_tf.runs.run_dir import RunDirectory
from leo_tf.transforms import FittedTransform

_FITTED = "fitted.npz"
_EXTRACTOR = "extractor"
_BATCH = 64


class ImageFewShotClassifier:
    """Classifier of images that is fitted to a few images per class.

    Args:
      model: the folder of a run that was trained on embeddings by `leo_tf.features.extract`, or one that `save` wrote.
      calibrated: whether `fit` makes probabilities use the temperatures that `evaluate.py --calibrate` fitted; by
        default if the run has them.
      unknown_class: whether `fit` adds a class for images of none of the classes, as FewShotClassifier's.

    Attributes:
      classes_: [ways] the labels, sorted, the unknown class last; None before `fit`.
      folder: RunDirectory that it was loaded from.

    Raises:
      InputError: there is no such folder, or it has no extractor.

    Example:
      >>> try:
      ...     leo_tf.ImageFewShotClassifier.load("runs/birds")
      ... except leo_tf.InputError as error:
      ...     print(error)
      No run in runs/birds: ... expected the checkpoint_path of a run made by train.py.
    """

    def __init__(self, model: str | Path, calibrated: bool | None = None, unknown_class: bool = False) -> None:
        self.folder, self._calibrated, self._unknown_class = RunDirectory(model), calibrated, unknown_class
        self.folder.config()
        if not (self.folder.path / _EXTRACTOR).is_dir():
            raise InputError(
                f"The run in {self.folder.path} has no feature extractor: its embeddings came from elsewhere. Expected "
                "a run on embeddings that python -m leo_tf.features.extract made."
            )
        self._extractor: Any = None
        self._extractor_files: list = []
        self._fitted: FittedClassifier | None = None
        self.classes_: Any = None

    @classmethod
    def load(
        cls, path: str | Path, calibrated: bool | None = None, unknown_class: bool = False
    ) -> "ImageFewShotClassifier":
        """Return the unfitted classifier of a run's folder, or the classifier that `save` wrote, fitted or not."""
        classifier = cls(path, calibrated, unknown_class)
        if (classifier.folder.path / _FITTED).is_file():
            classifier._read_fitted()
        return classifier

    def fit(self, images: Any, labels: Any) -> "ImageFewShotClassifier":
        """Adapt to labelled images.

        Args:
          images: paths, arrays (uint8, or floats in [0, 1], [height, width] or with channels last) or PIL images.
          labels: one per image, of any sortable type; any number of images per class.

        Returns:
          self.

        Raises:
          InputError: an image cannot be read, the number of labels is another, or there are fewer than two classes.
        """
        images, labels = _as_list(images), np.asarray(labels)
        if labels.ndim != 1 or len(labels) != len(images):
            raise InputError(f"Got {len(images)} images, labels of shape {labels.shape}; expected one label per image.")
        from leo_tf.export.adapter import load_adapter

        if self._extractor_files != self._identities():  # the run has been replaced
            self._extractor = None
        embeddings = self.embed(images)

        adapter = load_adapter(self.folder.path, self._calibrated, self._unknown_class)
        self._fitted, self.classes_ = fit(adapter, embeddings, labels, self._unknown_class)
        return self

    def fit_folder(self, folder: str | Path) -> "ImageFewShotClassifier":
        """Adapt to a folder that has one folder of images per class, named as the class; otherwise as `fit`."""
        from leo_tf.features.images.folder_layouts import find_classes

        folder = expanded(folder)
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; expected one with a folder of images per class.", "support")
        found = find_classes(folder)
        files = [file for each in found.values() for file in each]
        return self.fit(files, [name for name, each in found.items() for _ in each])

    def predict(self, images: Any) -> np.ndarray:
        """Return the most probable class of each image; images as for `fit`."""
        scores = self._scores(images)
        return self.classes_[scores.argmax(axis=1)]

    def predict_proba(self, images: Any) -> np.ndarray:
        """Return the probabilities [images, ways] of `classes_`; images as for `fit`."""
        return special.softmax(self._scores(images), axis=1)

    def embed(self, images: Any) -> np.ndarray:
        """Return the embeddings [images, dim] of images as for `fit`, as the extractor returns them."""
        images, extractor = _as_list(images), self.extractor
        parts = [np.zeros((0, extractor.dim), np.float32)]
        for first in range(0, len(images), _BATCH):  # only one batch is in memory
            squares = [self._square(first + i, image) for i, image in enumerate(images[first : first + _BATCH])]
            parts.append(extractor(np.stack(squares)))
        return np.concatenate(parts)

    def save(self, folder: str | Path) -> None:
        """Write extractor, model and fitted classifier into a folder, for `load` on this or another machine.

        Raises:
          InputError: the folder is not empty, or cannot be written.
        """
        folder = expanded(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists; expected a new or an empty folder.")
        best = self.folder.best_checkpoint()
        files = [self.folder.config_file, self.folder.data_file, *best.parent.glob(f"{best.name}.*")]
        files += [path for path in (self.folder.path / _EXTRACTOR).iterdir() if path.is_file()]
        files += [path for path in (self.folder.initialization_file, self.folder.calibration_file) if path.is_file()]
        with writing(folder):
            for file in files:
                target = folder / file.relative_to(self.folder.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        if self._fitted is not None:
            fields = self._fitted._asdict()
            fields["mean"], fields["matrix"] = fields.pop("transform") or (np.zeros(0), np.zeros((0, 0)))
            if fields["log_ratios"] is None:
                fields["log_ratios"] = np.zeros((0, 0))
            npz.write(folder / _FITTED, classes=self.classes_, **fields)

    @property
    def fitted(self) -> FittedClassifier:
        """The adapted classifier; InputError before `fit`."""
        if self._fitted is None:
            raise InputError("The classifier is not fitted; call fit or fit_folder with a few labelled images first.")
        return self._fitted

    @property
    def extractor(self) -> Any:
        """The Extractor, loaded on first use."""
        if self._extractor is None:
            from leo_tf.features.extractor import Extractor

            self._extractor_files = self._identities()
            self._extractor = Extractor.load(self.folder.path / _EXTRACTOR)
        return self._extractor

    def _identities(self) -> list:
        return sorted(map(identity, (self.folder.path / _EXTRACTOR).iterdir()))

    def _square(self, number: int, image: Any) -> np.ndarray:
        from leo_tf.files.pixels import UnreadableError

        try:
            content = Path(image).expanduser().read_bytes() if isinstance(image, str | Path) else image
            return self.extractor.loader.square(content)
        except (UnreadableError, OSError) as error:
            name = image if isinstance(image, str | Path) else f"image {number}"
            raise InputError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from None

    def _scores(self, images: Any) -> np.ndarray:
        fitted = self.fitted  # before the work of embedding
        return fitted.scores(self.embed(images))

    def _read_fitted(self) -> None:
        expected = {"classes": ("Uiufb", 1), "weights": ("f", 2), "normalize": ("b", 0), "log_ratios": ("f", 2)}
        what = "the classes and classifier that ImageFewShotClassifier.save writes"
        fields = npz.read(self.folder.path / _FITTED, what, **expected, mean=("f", 1), matrix=("f", 2))
        self.classes_, mean, matrix = (fields.pop(name) for name in ("classes", "mean", "matrix"))
        transform, log_ratios = FittedTransform(mean, matrix) if mean.size else None, fields.pop("log_ratios")
        self._fitted = FittedClassifier(
            **fields, transform=transform, log_ratios=log_ratios if log_ratios.size else None
        )


def _as_list(images: Any) -> Sequence[Any]:
    """Return images as a list; a path or PIL image is one image, an array [n, height, width, channels] n images."""
    if isinstance(images, str | Path) or hasattr(images, "getexif"):
        return [images]
    return list(images)
