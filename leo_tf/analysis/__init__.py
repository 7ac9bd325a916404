"""What a trained model does: latent space, curvature, adaptation, mistakes, calibration, accuracy by ways and shots.

The names below are loaded when first used, so that `python -m leo_tf.analysis --help` stays quick.
"""

import importlib

_HOMES = {
    "Analysis": "leo_tf.analysis.requests",
    "Calibration": "leo_tf.evaluation.calibration",
    "Geometry": "leo_tf.analysis.geometry",
    "LatentSpace": "leo_tf.analysis.latent_space",
    "Request": "leo_tf.analysis.requests",
    "StepsPoint": "leo_tf.analysis.curves",
    "adaptation_of": "leo_tf.analysis.adaptation_section",
    "analyse": "leo_tf.analysis.requests",
    "calibrate": "leo_tf.classification.calibration",
    "claims": "leo_tf.analysis.geometry",
    "failures_of": "leo_tf.classification.failures",
    "geometry_of": "leo_tf.analysis.geometry",
    "latent_space_of": "leo_tf.analysis.latent_space",
    "leave_one_out": "leo_tf.classification.influence",
    "require_analyses": "leo_tf.analysis.requests",
    "shape_grid": "leo_tf.analysis.curves",
    "steps_curve": "leo_tf.analysis.curves",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
