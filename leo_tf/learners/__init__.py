"""Base classes of meta-learners, below the problems: `MetaLearner`, and what classification and regression share.

`LatentLearner` is LEO's part, `DescentLearner` that of MAML and Meta-SGD.
"""

from leo_tf.learners.descent import DescentLearner
from leo_tf.learners.latent import LatentLearner
from leo_tf.learners.meta_learner import ADAM_EPSILON, JIT_BY_DEFAULT, AdaptationOutput, MetaLearner, Trace, noise_seed

__all__ = [
    "ADAM_EPSILON",
    "JIT_BY_DEFAULT",
    "AdaptationOutput",
    "DescentLearner",
    "LatentLearner",
    "MetaLearner",
    "Trace",
    "noise_seed",
]
