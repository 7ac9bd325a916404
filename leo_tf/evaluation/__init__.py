"""Evaluation on fixed tasks, with intervals and a yardstick."""

from leo_tf.evaluation.analysis import Analysis, Request, analyse, require_analyses
from leo_tf.evaluation.calibration import Calibration, calibrate
from leo_tf.evaluation.comparison import Comparison, SeedSummary, compare, compare_paired, seed_summary
from leo_tf.evaluation.curves import StepsPoint, shape_grid, steps_curve
from leo_tf.evaluation.protocol import Evaluator, evaluate, evaluate_tasks, leo_classifier, sampler_of
from leo_tf.evaluation.results import EvaluationResult
from leo_tf.evaluation.scoring import Classifier, Scores, nearest_class_mean
from leo_tf.evaluation.statistics import Interval, confidence_interval
from leo_tf.evaluation.tasks import Tasks, draw_tasks

__all__ = [
    "Analysis",
    "Calibration",
    "Classifier",
    "Comparison",
    "EvaluationResult",
    "Evaluator",
    "Interval",
    "Request",
    "Scores",
    "SeedSummary",
    "StepsPoint",
    "Tasks",
    "analyse",
    "calibrate",
    "compare",
    "compare_paired",
    "confidence_interval",
    "draw_tasks",
    "evaluate",
    "evaluate_tasks",
    "leo_classifier",
    "nearest_class_mean",
    "require_analyses",
    "sampler_of",
    "seed_summary",
    "shape_grid",
    "steps_curve",
]
