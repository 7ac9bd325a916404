"""What LEO is compared with, on the same episodes: MAML, Meta-SGD, and logistic regression on each task alone."""

from leo_tf.baselines.logistic import logistic_regression
from leo_tf.baselines.maml import MAML, MetaSGD

__all__ = ["MAML", "MetaSGD", "logistic_regression"]
