"""LEO as a scikit-learn classifier: fit on a handful of labelled embeddings, predict others."""

import numpy as np
import tensorflow as tf

from leo_tf.errors import InputError, require_package
from leo_tf.export.checks import reason_of
from leo_tf.export.served import serve

require_package("sklearn", "sklearn", "FewShotClassifier")
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

    Attributes:
      classes_: [ways] the labels, sorted.
      n_features_in_: int, dimensions of an embedding.
      classifier_: [ways, dim] float32, the adapted linear classifier.

    Example:
      >>> import numpy as np
      >>> model = leo_tf.LEO(leo_tf.LEOConfig(num_latents=4), embedding_dim=3, seed=0)
      >>> X = np.array([[1.0, 0, 0], [0.9, 0.1, 0], [0, 0, 1]])
      >>> classifier = leo_tf.FewShotClassifier(model).fit(X, ["cat", "cat", "dog"])
      >>> classifier.predict_proba(X).shape
      (3, 2)
    """

    def __init__(self, model):
        self.model = model

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
          InputError: embeddings of another dim than the model's.
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
        self.classes_, labels = np.unique(y, return_inverse=True)
        try:
            adapted = served.adapt(support_x=X[np.newaxis], support_y=labels[np.newaxis].astype(np.int32))
        except tf.errors.InvalidArgumentError as error:  # more examples than the SavedModel takes
            raise InputError(reason_of(error)) from None
        self.classifier_ = adapted["classifier"].numpy()[0]
        return self

    def predict_proba(self, X):
        """Return the probabilities [examples, ways] of `classes_` for embeddings [examples, dim]."""
        return self._predicted(X)["probabilities"].numpy()[0]

    def predict(self, X):
        """Return the most probable class [examples] of embeddings [examples, dim]."""
        labels = self._predicted(X)["predicted_label"].numpy()[0]
        return self.classes_[labels]

    def _predicted(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return self._serve().predict(classifier=self.classifier_[np.newaxis], query_x=X[np.newaxis])

    def _serve(self):
        return serve(self.model)
