"""Meta-trained models as scikit-learn classifiers: fit on a few labelled embeddings, predict others."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from leo_tf.errors import require_package
from leo_tf.export.fitted_classifier import fit

require_package("sklearn", "FewShotClassifier")
from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import check_is_fitted, validate_data  # noqa: E402

if TYPE_CHECKING:
    from leo_tf.export.adapter import Adapter


class FewShotClassifier(ClassifierMixin, BaseEstimator):
    """Classifier of one task that a meta-trained LEO or ProtoLEO adapts to its examples.

    Classes may have any labels, and different numbers of examples. LEO is made for a few examples per class: the time
    to fit grows with the square of their total number.

    Args:
      model: the folder of a run or of a SavedModel by `leo_tf.export`, or a LEO or ProtoLEO that was trained on
        embeddings of unit length. With a path, the estimator is small to copy and to pickle.
      calibrated: for a run: whether probabilities use the temperatures that `evaluate.py --calibrate` fitted. For a
        SavedModel, this was decided by the export.
      unknown_class: whether there is one more class, for embeddings of none of the classes that it is fitted to; with a
        calibrated ProtoLEO. Probabilities are calibrated then, assuming that half of the embeddings are of that class.

    A fitted classifier predicts without the model, for example unpickled on a machine without TensorFlow.

    Attributes:
      classes_: [ways] the labels, sorted. With `unknown_class`, one more: "unknown", or -1 where labels are numbers.
      n_features_in_: int, dimensions of an embedding.
      classifier_: FittedClassifier, the adapted linear classifier with all that it needs to predict.

    Example:
      >>> import numpy as np
      >>> model = leo_tf.LEO(leo_tf.LEOConfig(num_latents=4), embedding_dim=3, seed=0)
      >>> X = np.array([[1.0, 0, 0], [0.9, 0.1, 0], [0, 0, 1]])
      >>> classifier = leo_tf.FewShotClassifier(model).fit(X, ["cat", "cat", "dog"])
      >>> classifier.predict_proba(X).shape
      (3, 2)
    """

    def __init__(self, model: Any, calibrated: bool = False, unknown_class: bool = False) -> None:
        self.model, self.calibrated, self.unknown_class = model, calibrated, unknown_class

    @classmethod
    def load(cls, path: str | Path) -> "FewShotClassifier":
        """Return an unfitted classifier of the run or SavedModel in `path`, which is loaded right away.

        Raises:
          InputError: there is none.
        """
        classifier = cls(str(path))
        classifier._adapter()
        return classifier

    def fit(self, X: Any, y: Any) -> "FewShotClassifier":
        """Adapt to labelled embeddings.

        Args:
          X: [examples, dim], as the feature extractor returns them.
          y: [examples] labels of any sortable type.

        Returns:
          self.

        Raises:
          InputError: embeddings of another dim than the model's, or of only one class; or the model is not calibrated,
            or has no unknown class.
          ValueError: scikit-learn refuses the data, for example NaN or a different number of labels.
        """
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classifier_, self.classes_ = fit(self._adapter(), X, y, self.unknown_class)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities [examples, ways] of `classes_` for embeddings [examples, dim]."""
        return special.softmax(self._scores(X), axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class [examples] of embeddings [examples, dim]."""
        best = self._scores(X).argmax(axis=1)
        return self.classes_[best]

    def _scores(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self.classifier_.scores(validate_data(self, X, dtype=np.float32, reset=False))

    def _adapter(self) -> "Adapter":
        from leo_tf.export.adapter import load_adapter

        return load_adapter(self.model, self.calibrated, self.unknown_class)
