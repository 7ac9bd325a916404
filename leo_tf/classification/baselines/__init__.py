"""Baselines that a model is compared with: classifiers fitted to each support set, without meta-learning."""

from leo_tf.classification.baselines.base_classes import BaseClasses
from leo_tf.classification.baselines.feature_spaces import RAW, FeatureSpace, whitened_by
from leo_tf.classification.baselines.lda import lda, shared_covariance
from leo_tf.classification.baselines.logistic import logistic_regression
from leo_tf.classification.baselines.measurement import BaselineScores, Scoring, planned, title_of
from leo_tf.classification.baselines.nearest_mean import nearest_class_mean, nearest_class_mean_by_cosine
from leo_tf.classification.baselines.plda import plda_space
from leo_tf.classification.baselines.registry import FITTED, NEAREST_MEANS, ON_REQUEST, Baseline, lda_of, requested
from leo_tf.classification.baselines.ridge import ridge

__all__ = [
    "FITTED",
    "NEAREST_MEANS",
    "ON_REQUEST",
    "RAW",
    "BaseClasses",
    "Baseline",
    "BaselineScores",
    "FeatureSpace",
    "Scoring",
    "lda",
    "lda_of",
    "logistic_regression",
    "nearest_class_mean",
    "nearest_class_mean_by_cosine",
    "planned",
    "plda_space",
    "requested",
    "ridge",
    "shared_covariance",
    "title_of",
    "whitened_by",
]
