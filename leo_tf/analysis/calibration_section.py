"""The calibration section of the report."""

from leo_tf.analysis.context import AnalysisContext
from leo_tf.analysis.section import CaptionedFigure, Section
from leo_tf.classification.calibration import calibrate
from leo_tf.evaluation.calibration import reliability_diagram


def section(context: AnalysisContext) -> Section:
    """Return the calibration Section."""
    evaluation = context.evaluation("test")
    found, split = calibrate(context.learner, evaluation.table, evaluation.tasks), evaluation.request.split
    figure = reliability_diagram(found, f"{evaluation.config.data.dataset_name} {split}")
    caption = (
        f"Accuracy against confidence, the highest probability, over all queries of {len(evaluation.tasks)} {split} "
        f"tasks, in {len(found.bin_count)} equal bins. On the dashed line, 70 % of the answers given with a confidence "
        "of 70 % are right."
    )
    summary = {**context.describe("test"), **found.summary()}
    return Section("Calibration", [f"{found}."], [], {"reliability": CaptionedFigure(figure, caption)}, summary)
