"""The analyses of each problem, by name, and checks of their input before any work is done."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from leo_tf.analysis import adaptation, classification_sections, geometry_section, latent_section, regression_sections
from leo_tf.analysis.context import AnalysisContext, model_name
from leo_tf.analysis.section import Section
from leo_tf.classification import influence as classification_influence
from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.learners.meta_learner import MetaLearner
from leo_tf.regression import analysis_target as regression_target

_logger = logging.getLogger("leo_tf")
_ANALYSES: dict[str, dict[str, Callable[[AnalysisContext], Section]]] = {
    "classification": {
        "latent_space": latent_section.section,
        "curvature": geometry_section.section,
        "adaptation": adaptation.section,
        "leave_one_out": functools.partial(
            adaptation.leave_one_out_section,
            leave_one_out=classification_influence.leave_one_out,
            labels={
                "moved": "relative change of the classifier",
                "changed": "fraction of answers that change",
                "lost": "accuracy lost",
            },
        ),
        "failures": classification_sections.failures,
        "calibration": classification_sections.calibration,
    },
    "regression": {
        "latent_space": latent_section.section,
        "interpolation": regression_sections.interpolation,
        "curvature": geometry_section.section,
        "adaptation": adaptation.section,
        "leave_one_out": functools.partial(
            adaptation.leave_one_out_section,
            leave_one_out=regression_target.leave_one_out,
            labels={"moved": "root mean square change of the function", "lost": "squared error added"},
        ),
        "failures": regression_sections.failures,
    },
}
_ON_VALIDATION_TASKS = ("latent_space", "interpolation")  # as in the paper; all others are on test tasks
_USED_BY = {  # {field of AnalysisContext: (setting, the analysis that uses it)}
    "others": ("compare_to", "curvature"),
    "highlight": ("highlight", "latent_space"),
    "images": ("images", "failures"),
}


def select(names: Sequence[str], config: RunConfig, learner: MetaLearner) -> list[str]:
    """Return the names of the analyses to run, in their order: those asked for, or all that exist for the run."""
    unavailable = {}  # {analysis: reason why it does not exist}
    if not learner.has_latents or learner.encoder is None:
        unavailable["latent_space"] = unavailable["interpolation"] = "needs an encoder"
    if config.episodes.num_tr_examples_per_class < 2:
        unavailable["leave_one_out"] = "needs 2 shots or more"
    available = [name for name in _ANALYSES[config.problem] if name not in unavailable]
    wrong = [name for name in names if name not in available]
    if wrong:
        reasons = "; ".join(f"{name} {unavailable[name]}" for name in wrong if name in unavailable)
        raise InputError(
            f"Got analyses={','.join(wrong)}{f' ({reasons})' if reasons else ''}; expected some of "
            f"{', '.join(available)}: these exist for this {config.problem} run of {model_name(learner)}.",
            "analyses",
        )
    return [name for name in available if name in names] if names else available


def unique_names(learners: Mapping[Path, MetaLearner], first: MetaLearner) -> dict[str, MetaLearner]:
    """Return {name: learner} of {Path of run: learner}: the paper's name, with the run's folder where that is taken."""
    named: dict[str, MetaLearner] = {}
    for path, learner in learners.items():
        name = model_name(learner)
        if name in {model_name(first), *named}:
            name = f"{name} ({path.name})"
        if name in named:
            raise InputError(
                f"Got compare_to={path} beside another run with this folder name; expected different ones.",
                "compare_to",
            )
        named[name] = learner
    return named


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
        latent_section.find_highlight(context.target("val"), context.highlight)
    if "failures" in names:
        classification_sections.load_images(context)


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


def run_analyses(names: Sequence[str], context: AnalysisContext) -> dict[str, Section]:
    """Return {name: Section} of the analyses that `select` returned."""
    analyses = _ANALYSES[context.evaluation("test").config.problem]
    sections = {}
    for name in names:
        _logger.info("Analysing %s.", name)
        sections[name] = analyses[name](context)
    return sections
