"""Analyses of a trained model: latent space, curvature, adaptation, failures, calibration, accuracy by ways and shots.

The names below are loaded when first used, so that `python -m leo_tf.analysis --help` stays quick.
"""

import importlib
from typing import Any

_NAMES = {
    "leo_tf.analysis.adaptation": ("Adaptation", "measure_adaptation", "with_steps"),
    "leo_tf.analysis.geometry": ("Geometry", "check_claims", "measure_geometry"),
    "leo_tf.analysis.latent_space": ("LatentSpace", "measure_latent_space"),
    "leo_tf.classification.calibration": ("calibrate",),
    "leo_tf.classification.failures": ("find_failures",),
    "leo_tf.classification.influence": ("leave_one_out",),
    "leo_tf.evaluation.calibration": ("Calibration",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
