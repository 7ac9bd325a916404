"""Few-shot regression of sinusoids and lines (paper section 4.1), and the baselines that models are compared with."""

from leo_tf.regression.episodes import RegressionEpisode, RegressionSampler
from leo_tf.regression.evaluation import evaluate
from leo_tf.regression.leo import RegressionLEO
from leo_tf.regression.maml import RegressionMAML, RegressionMetaSGD
from leo_tf.regression.results import RegressionResult
from leo_tf.regression.tasks import RegressionTasks, draw_tasks

__all__ = [
    "RegressionEpisode",
    "RegressionLEO",
    "RegressionMAML",
    "RegressionMetaSGD",
    "RegressionResult",
    "RegressionSampler",
    "RegressionTasks",
    "draw_tasks",
    "evaluate",
]
