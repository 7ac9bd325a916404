"""Checks of an analysis' input before any work is done."""

from collections.abc import Sequence

from leo_tf.analysis.context import AnalysisContext
from leo_tf.analysis.failures_section import load_images
from leo_tf.analysis.latent_section import find_highlight
from leo_tf.analysis.shape_grid import checked_shapes
from leo_tf.errors import InputError

_ON_VALIDATION_TASKS = ("latent_space", "interpolation")  # as in the paper; all others are on test tasks
_USED_BY = {  # {field of AnalysisContext: (setting, the analysis that uses it)}
    "others": ("compare_to", "curvature"),
    "highlight": ("highlight", "latent_space"),
    "images": ("images", "failures"),
    "ways": ("ways_grid", "grid"),
    "shots": ("shots_grid", "grid"),
}


def require_analysable(names: Sequence[str], context: AnalysisContext) -> None:
    """Raise InputError unless an AnalysisContext has everything that the named analyses need, and nothing else."""
    for field, (setting, analysis) in _USED_BY.items():
        if getattr(context, field) and analysis not in names:
            raise InputError(
                f"Got {setting}, which only the analysis {analysis} uses, while the analyses are {', '.join(names)}; "
                f"expected analyses={','.join([*names, analysis])}, or no {setting}.",
                setting,
                "analyses",
            )
    _require_tasks(names, context)
    for name, learner in context.others.items():
        try:
            context.evaluation("test").analysis_target(learner)
        except InputError as error:
            raise InputError(
                f"The {name} of compare_to does not take the tasks of this run: {error}", "compare_to"
            ) from None
    if "latent_space" in names:
        find_highlight(context.target("val"), context.highlight)
    if "failures" in names:
        load_images(context)
    if "grid" in names:
        checked_shapes(context)


def _require_tasks(names: Sequence[str], context: AnalysisContext) -> None:
    of_validation = [name for name in names if name in _ON_VALIDATION_TASKS]
    others = [name for name in names if name not in _ON_VALIDATION_TASKS]
    for split, analyses, other in (("val", of_validation, "test"), ("test", others, "val")):
        if not analyses:
            continue
        try:
            context.target(split)
        except InputError as error:
            if context.split or not _has_tasks(context, other):
                raise
            raise InputError(
                f"{error} Without split, {', '.join(analyses)} takes the {split} classes; give split={other}, or leave "
                "it out of analyses.",
                "split",
                "analyses",
            ) from None


def _has_tasks(context: AnalysisContext, split: str) -> bool:
    try:
        context.evaluation_of(split).analysis_target(context.learner)
    except InputError:
        return False
    return True
