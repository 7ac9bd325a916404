"""Evaluation on fixed tasks, with intervals and a yardstick."""

from leo_tf.evaluation.protocol import EvaluationResult, Evaluator, evaluate, leo_classifier
from leo_tf.evaluation.scoring import Classifier, Scores, nearest_class_mean
from leo_tf.evaluation.statistics import Interval, confidence_interval

__all__ = [
    "Classifier",
    "EvaluationResult",
    "Evaluator",
    "Interval",
    "Scores",
    "confidence_interval",
    "evaluate",
    "leo_classifier",
    "nearest_class_mean",
]
