"""Analyses of a trained model: latent space, curvature, adaptation, failures, calibration, accuracy by ways and shots.

The names below are loaded when first used, so that `python -m leo_tf.analysis --help` stays quick.
"""

import importlib
from typing import Any

_HOMES = {
    "Adaptation": "leo_tf.analysis.adaptation",
    "Calibration": "leo_tf.evaluation.calibration",
    "Geometry": "leo_tf.analysis.geometry",
    "LatentSpace": "leo_tf.analysis.latent_space",
    "calibrate": "leo_tf.classification.calibration",
    "check_claims": "leo_tf.analysis.geometry",
    "find_failures": "leo_tf.classification.failures",
    "leave_one_out": "leo_tf.classification.influence",
    "measure_adaptation": "leo_tf.analysis.adaptation",
    "measure_geometry": "leo_tf.analysis.geometry",
    "measure_latent_space": "leo_tf.analysis.latent_space",
    "shape_grid": "leo_tf.analysis.shape_grid",
    "with_steps": "leo_tf.analysis.adaptation",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
