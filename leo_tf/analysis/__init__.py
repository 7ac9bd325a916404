"""What a trained model does: calibration, accuracy over steps, ways and shots."""

from leo_tf.analysis.curves import StepsPoint, shape_grid, steps_curve
from leo_tf.analysis.requests import Analysis, Request, analyse, require_analyses
from leo_tf.classification.calibration import calibrate
from leo_tf.evaluation.calibration import Calibration

__all__ = [
    "Analysis",
    "Calibration",
    "Request",
    "StepsPoint",
    "analyse",
    "calibrate",
    "require_analyses",
    "shape_grid",
    "steps_curve",
]
