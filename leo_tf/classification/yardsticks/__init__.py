"""What a model is compared with: classifiers fitted to each support set alone."""

from leo_tf.classification.yardsticks.kinds import FITTED, NEAREST_MEANS, ON_REQUEST, Yardstick, lda_of, requested
from leo_tf.classification.yardsticks.lda import lda, shared_covariance
from leo_tf.classification.yardsticks.logistic import logistic_regression
from leo_tf.classification.yardsticks.nearest_mean import nearest_class_mean, nearest_class_mean_by_cosine
from leo_tf.classification.yardsticks.ridge import ridge
from leo_tf.classification.yardsticks.scoring import Measured, Scoring, planned, title_of
from leo_tf.classification.yardsticks.spaces import RAW, Space, plda_of, space_of_model, whitened_by
from leo_tf.classification.yardsticks.training_classes import TrainingClasses

__all__ = [
    "FITTED",
    "NEAREST_MEANS",
    "ON_REQUEST",
    "RAW",
    "Measured",
    "Scoring",
    "Space",
    "TrainingClasses",
    "Yardstick",
    "lda",
    "lda_of",
    "logistic_regression",
    "nearest_class_mean",
    "nearest_class_mean_by_cosine",
    "planned",
    "plda_of",
    "requested",
    "ridge",
    "shared_covariance",
    "space_of_model",
    "title_of",
    "whitened_by",
]
