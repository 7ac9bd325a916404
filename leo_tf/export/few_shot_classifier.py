"""LEO as a scikit-learn classifier: fit on a handful of labelled embeddings, predict others."""

import os

import numpy as np
from scipy import special

from leo_tf.errors import InputError, require_package
from leo_tf.export.fitted import Fitted, fit

require_package("sklearn", "FewShotClassifier")
from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import check_is_fitted, validate_data  # noqa: E402


class FewShotClassifier(ClassifierMixin, BaseEstimator):
    """Adapt a meta-trained LEO to one classification task.

    Classes may have any labels and any, unequal numbers of examples. A handful of each is what LEO is made for: the
    time to fit grows with the square of all examples together.

    Args:
      model: the folder of a run or of a SavedModel by `leo_tf.export`, or a LEO that was trained on embeddings of unit
        length. A path keeps the estimator small to copy and to pickle.
      calibrated: with a run: whether probabilities are at the temperature that `evaluate.py --calibrate` fitted. A
        SavedModel's are if it was exported so.

    A fitted classifier predicts without the model: pickled, in another process, on a machine without TensorFlow.

    Attributes:
      classes_: [ways] the labels, sorted.
      n_features_in_: int, dimensions of an embedding.
      classifier_: [ways, dim] float32, the adapted linear classifier; with a prototype_bias that is one more column.
      normalize_: bool, whether embeddings are scaled to unit length first.
      transform_: None, or mean [dim] and matrix [dim, dim] of the embedding transform.
      temperature_: float, what its scores are divided by for probabilities.

    Example:
      >>> import numpy as np
      >>> model = leo_tf.LEO(leo_tf.LEOConfig(num_latents=4), embedding_dim=3, seed=0)
      >>> X = np.array([[1.0, 0, 0], [0.9, 0.1, 0], [0, 0, 1]])
      >>> classifier = leo_tf.FewShotClassifier(model).fit(X, ["cat", "cat", "dog"])
      >>> classifier.predict_proba(X).shape
      (3, 2)
    """

    def __init__(self, model, calibrated=False):
        self.model, self.calibrated = model, calibrated

    @classmethod
    def load(cls, path):
        """Return an unfitted classifier of the run or SavedModel in `path`, already read.

        Raises:
          InputError: there is none.
        """
        classifier = cls(str(path))
        classifier._serve()
        return classifier

    def fit(self, X, y):
        """Adapt to labelled embeddings.

        Args:
          X: [examples, dim], as the feature extractor gave them: scaled to unit length inside if LEO was trained so.
          y: [examples] labels of any kind that sorts.

        Returns:
          self.

        Raises:
          InputError: embeddings of another dim than the model's, or of one class only.
          ValueError: anything else that scikit-learn refuses, as NaN or a different number of labels.
        """
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        served = self._serve()
        if X.shape[1] != served.embedding_dim:
            raise InputError(
                f"X has {X.shape[1]} features; the model was made for {served.embedding_dim}. Fit on embeddings of the "
                "feature extractor it was trained on."
            )
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise InputError(
                f"y has one class only, {str(classes[0])!r}; expected at least two. Add labelled examples of another "
                "class."
            )
        self.temperature_, self.classes_ = self._temperature(served), classes
        fitted = fit(served, X, labels, self.temperature_)
        self.classifier_, self.normalize_, self.transform_, _ = fitted
        return self

    def predict_proba(self, X):
        """Return the probabilities [examples, ways] of `classes_` for embeddings [examples, dim]."""
        scores = self._scores(X)
        return special.softmax(scores / self.temperature_, axis=1)

    def predict(self, X):
        """Return the most probable class [examples] of embeddings [examples, dim]."""
        scores = self._scores(X)
        return self.classes_[scores.argmax(axis=1)]

    def _scores(self, X):
        """Return the logits [examples, ways] of embeddings [examples, dim]."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return Fitted(self.classifier_, self.normalize_, self.transform_, self.temperature_).scores(X)

    def _temperature(self, served):
        if not self.calibrated or served.temperature != 1:
            return served.temperature
        from leo_tf.runs.run_dir import RunDirectory

        if not isinstance(self.model, str | os.PathLike) or not RunDirectory(self.model).config_file.exists():
            raise InputError(
                f"calibrated=True was given with {self.model}, which has no temperature; expected the folder of a run, "
                "or a SavedModel exported with calibrated=True."
            )
        return RunDirectory(self.model).temperature()

    def _serve(self):
        from leo_tf.export.served import serve

        return serve(self.model)
