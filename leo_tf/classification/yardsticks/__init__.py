"""What LEO is compared with, fitted to each support set alone."""

from leo_tf.classification.yardsticks.logistic import logistic_regression
from leo_tf.classification.yardsticks.nearest_mean import nearest_class_mean

__all__ = ["logistic_regression", "nearest_class_mean"]
