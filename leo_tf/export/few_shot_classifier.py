"""Meta-trained models as scikit-learn classifiers: fit on a few labelled embeddings, predict others."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from scipy import special

from leo_tf.errors import require_package
from leo_tf.export.fitted_classifier import fit

require_package("sklearn", "FewShotClassifier")
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context  # noqa: E402
from sklearn.utils._param_validation import HasMethods  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets, unique_labels  # noqa: E402
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data  # noqa: E402

if TYPE_CHECKING:
    from leo_tf.export.adapter import Adapter


class Support(NamedTuple):
    """Labelled examples that a classifier is fitted to."""

    X: np.ndarray  # embeddings [examples, dim] float32
    y: np.ndarray  # labels [examples]
    sample_weight: np.ndarray  # [examples] float32, positive


class FewShotClassifier(ClassifierMixin, BaseEstimator):
    """Classifier of one task that a meta-trained LEO or ProtoLEO adapts to its examples.

    Classes may have any labels, and different numbers of examples. LEO is made for a few examples per class: the time
    to fit grows with the square of their total number.

    Args:
      model: the folder of a run or of a SavedModel by `leo_tf.export`, or a LEO or ProtoLEO that was trained on
        embeddings of unit length. With a path, the estimator is small to copy and to pickle.
      calibrated: for a run: whether probabilities use the temperatures that `evaluate.py --calibrate` fitted; by
        default if the run has them. For a SavedModel, this was decided by the export.
      unknown_class: whether there is one more class, for embeddings of none of the classes that it is fitted to; with a
        calibrated ProtoLEO. Probabilities are calibrated then, assuming that half of the embeddings are of that class.

    A fitted classifier predicts without the model, for example unpickled on a machine without TensorFlow.

    Attributes:
      classes_: [ways] the labels, sorted. With `unknown_class`, one more: "unknown", or -1 where labels are numbers.
      n_features_in_: int, dimensions of an embedding.
      classifier_: FittedClassifier, the adapted linear classifier with all that it needs to predict.
      support_: Support, the examples it is fitted to, which `partial_fit` adds to.

    Example:
      >>> import numpy as np
      >>> model = leo_tf.LEO(leo_tf.LEOConfig(num_latents=4), embedding_dim=3, seed=0)
      >>> X = np.array([[1.0, 0, 0], [0.9, 0.1, 0], [0, 0, 1]])
      >>> classifier = leo_tf.FewShotClassifier(model).fit(X, ["cat", "cat", "dog"])
      >>> classifier.predict_proba(X).shape
      (3, 2)
    """

    _parameter_constraints: ClassVar[dict] = {
        "model": [str, PathLike, HasMethods(["adapt"])],
        "calibrated": ["boolean", None],
        "unknown_class": ["boolean"],
    }

    def __init__(self, model: Any, calibrated: bool | None = None, unknown_class: bool = False) -> None:
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

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "FewShotClassifier":
        """Adapt to labelled embeddings.

        Args:
          X: [examples, dim], as the feature extractor returns them.
          y: [examples] labels of any sortable type.
          sample_weight: [examples] not negative: how many examples each one counts as, within its class. 0 leaves it
            out. Not with a SavedModel.

        Returns:
          self.

        Raises:
          InputError: embeddings of another dim than the model's, or of only one class; or the model is not calibrated,
            or has no unknown class.
          ValueError: scikit-learn refuses the data, for example NaN or a different number of labels.
        """
        return self._fit_to(self._checked(X, y, sample_weight))

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> "FewShotClassifier":
        """Adapt to these examples, of known classes or new ones, and those before: equal to `fit` on all of them.

        Args:
          X, y, sample_weight: as for `fit`.
          classes: not used, present for scikit-learn's convention: the classes are those of the examples so far.

        Returns:
          self.

        Raises:
          InputError, ValueError: as `fit`; what was fitted before is kept.
        """
        if not hasattr(self, "support_"):
            return self._fit_to(self._checked(X, y, sample_weight))
        more = self._checked(X, y, sample_weight, reset=False)
        unique_labels(self.support_.y, more.y)  # raises where text joins numbers, of which NumPy would make text
        return self._fit_to(Support(*map(np.concatenate, zip(self.support_, more, strict=True))))

    def _checked(self, X: Any, y: Any, sample_weight: Any, reset: bool = True) -> Support:
        X, y = validate_data(self, X, y, dtype=np.float32, reset=reset)
        check_classification_targets(y)
        sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float32, ensure_non_negative=True)
        return Support(*(each[sample_weight > 0] for each in (X, y, sample_weight)))

    def _fit_to(self, support: Support) -> "FewShotClassifier":
        X, y, sample_weight = support
        weighted = None if np.all(sample_weight == 1) else sample_weight
        self.classifier_, self.classes_ = fit(self._adapter(), X, y, self.unknown_class, weighted)
        self.support_ = support
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the logits [examples, ways] of embeddings [examples, dim]; of two classes, the second's lead."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities [examples, ways] of `classes_` for embeddings [examples, dim]."""
        return special.softmax(self._scores(X), axis=1)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms [examples, ways] of `predict_proba`."""
        return special.log_softmax(self._scores(X), axis=1)

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
