"""LEO, "Meta-Learning with Latent Embedding Optimization" (Rusu et al., ICLR 2019), in TensorFlow 2 and Keras 3.

The names below are loaded when first used, so that importing the package, or a command's `--help`, stays quick.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "EmbeddingTable": "leo_tf.data",
    "Episode": "leo_tf.data",
    "EpisodeSampler": "leo_tf.data",
    "EvaluationResult": "leo_tf.classification.results",
    "FewShotClassifier": "leo_tf.export.few_shot_classifier",
    "ImageFewShotClassifier": "leo_tf.export.image_classifier",
    "InputError": "leo_tf.errors",
    "LEO": "leo_tf.classification.leo",
    "LEOConfig": "leo_tf.config",
    "MAMLConfig": "leo_tf.config",
    "MetaLossOutput": "leo_tf.classification.learner",
    "MetaTraining": "leo_tf.training",
    "ProtoLEO": "leo_tf.classification.proto_leo",
    "ProtoLEOConfig": "leo_tf.config",
    "RunConfig": "leo_tf.config",
    "Trainer": "leo_tf.training",
    "evaluate": "leo_tf.classification.evaluation",
    "load": "leo_tf.runs",
}

_PACKAGES = frozenset(
    {"analysis", "classification", "config", "data", "evaluation", "export", "layers", "regression", "runs", "training"}
)

__all__ = sorted(_MODULES.keys() - {"FewShotClassifier"})  # which needs an extra: not for `import *`


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"leo_tf.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES, *_PACKAGES]
