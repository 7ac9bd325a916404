"""What a trained model does: calibration, accuracy over steps, ways and shots."""

from leo_tf.analysis.calibration import Calibration, calibrate
from leo_tf.analysis.curves import StepsPoint, shape_grid, steps_curve
from leo_tf.analysis.requests import Analysis, Request, analyse, require_analyses

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
