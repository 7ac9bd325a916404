"""The analyses of each problem, by name."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from leo_tf.analysis import (
    adaptation_section,
    calibration_section,
    failures_section,
    geometry_section,
    influence_section,
    latent_section,
    regression_sections,
    shape_grid,
)
from leo_tf.analysis.context import AnalysisContext, model_name
from leo_tf.analysis.section import Section
from leo_tf.classification import influence as classification_influence
from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.learners.meta_learner import MetaLearner
from leo_tf.regression import influence as regression_influence

_logger = logging.getLogger("leo_tf")
_ANALYSES: dict[str, dict[str, Callable[[AnalysisContext], Section]]] = {
    "classification": {
        "latent_space": latent_section.section,
        "curvature": geometry_section.section,
        "adaptation": adaptation_section.section,
        "leave_one_out": functools.partial(
            influence_section.section,
            leave_one_out=classification_influence.leave_one_out,
            labels={
                "moved": "relative change of the classifier",
                "changed": "fraction of answers that change",
                "lost": "accuracy lost",
            },
        ),
        "failures": failures_section.section,
        "calibration": calibration_section.section,
        "grid": shape_grid.section,
    },
    "regression": {
        "latent_space": latent_section.section,
        "interpolation": regression_sections.interpolation,
        "curvature": geometry_section.section,
        "adaptation": adaptation_section.section,
        "leave_one_out": functools.partial(
            influence_section.section,
            leave_one_out=regression_influence.leave_one_out,
            labels={"moved": "root mean square change of the function", "lost": "squared error added"},
        ),
        "failures": regression_sections.failures,
    },
}


def select(names: Sequence[str], config: RunConfig, learner: MetaLearner) -> list[str]:
    """Return the names of the analyses to run, in their order: those asked for, or all that exist.

    Raises InputError if one is unknown, or does not exist for the learner and its tasks.
    """
    unavailable = _unavailable(config, learner)
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


def _unavailable(config: RunConfig, learner: MetaLearner) -> dict[str, str]:
    """Return {analysis: reason why it does not exist}."""
    unavailable = {}
    if not learner.has_latents or learner.encoder is None:
        unavailable["latent_space"] = unavailable["interpolation"] = "needs an encoder"
    if config.episodes.num_tr_examples_per_class < 2:
        unavailable["leave_one_out"] = "needs 2 shots or more"
    return unavailable


def unique_names(learners: Mapping[Path, MetaLearner], first: MetaLearner) -> dict[str, MetaLearner]:
    """Return {name: learner} of {Path of run: learner}: the paper's name, with the run's folder where that is taken."""
    named: dict[str, MetaLearner] = {}
    taken = {model_name(first)}
    for path, learner in learners.items():
        name = model_name(learner)
        name = f"{name} ({path.name})" if name in taken else name
        if name in taken:
            raise InputError(
                f"Got compare_to={path} beside another run with this folder name; expected different ones.",
                "compare_to",
            )
        taken.add(name)
        named[name] = learner
    return named


def run_analyses(names: Sequence[str], context: AnalysisContext) -> dict[str, Section]:
    """Return {name: Section} of the analyses that `select` returned."""
    analyses = _ANALYSES[context.evaluation("test").config.problem]
    sections = {}
    for name in names:
        _logger.info("Analysing %s.", name)
        sections[name] = analyses[name](context)
    return sections
