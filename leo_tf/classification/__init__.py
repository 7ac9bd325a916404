"""Few-shot classification on embeddings (paper section 4.2), and the baselines that models are compared with."""

from leo_tf.classification.baselines import logistic_regression, nearest_class_mean
from leo_tf.classification.evaluation import evaluate, evaluate_tasks
from leo_tf.classification.evaluator import Evaluator, adapted_by
from leo_tf.classification.learner import MetaLossOutput
from leo_tf.classification.leo import LEO
from leo_tf.classification.maml import MAML, MetaSGD
from leo_tf.classification.results import EvaluationResult
from leo_tf.classification.tasks import Tasks, draw_tasks

__all__ = [
    "LEO",
    "MAML",
    "EvaluationResult",
    "Evaluator",
    "MetaLossOutput",
    "MetaSGD",
    "Tasks",
    "adapted_by",
    "draw_tasks",
    "evaluate",
    "evaluate_tasks",
    "logistic_regression",
    "nearest_class_mean",
]
