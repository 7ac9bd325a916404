"""What every meta-learner is, whatever its problem; the rooms of the problems build on it.

`meta_learner` the base class and its meta-objective; `latent` what LEO of both problems shares, `descent` what MAML and
Meta-SGD of both share; `keras_fit` compile, fit and evaluate.
"""

from leo_tf.learners.descent import DescentLearner, LearnedRates
from leo_tf.learners.keras_fit import ADAM_EPSILON, JIT_BY_DEFAULT
from leo_tf.learners.latent import LatentLearner
from leo_tf.learners.meta_learner import AdaptationOutput, MetaLearner, Trace

__all__ = [
    "ADAM_EPSILON",
    "JIT_BY_DEFAULT",
    "AdaptationOutput",
    "DescentLearner",
    "LatentLearner",
    "LearnedRates",
    "MetaLearner",
    "Trace",
]
