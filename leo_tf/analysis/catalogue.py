"""What can be analysed, of which problem and which learner."""

import logging

from leo_tf.analysis import (
    adaptation_section,
    evaluation_sections,
    failures_section,
    geometry_section,
    influence_section,
    latent_section,
    regression_sections,
)
from leo_tf.analysis.analysed import model_name
from leo_tf.analysis.projector import write_projector
from leo_tf.classification import influence as classification_influence
from leo_tf.errors import InputError
from leo_tf.regression import influence as regression_influence

_logger = logging.getLogger("leo_tf")
_OF_EXAMPLES = {
    "moved": "how far the classifier moves, over its length",
    "changed": "share of answers that change",
    "lost": "accuracy lost",
}
_OF_POINTS = {"moved": "root mean square that the function moves", "lost": "squared error added"}


def _latent_space(analysed, folder):
    return latent_section.section(analysed, lambda space: write_projector(folder, space))


def _leave_out_examples(analysed, _):
    return influence_section.section(analysed, classification_influence.leave_one_out, _OF_EXAMPLES)


def _leave_out_points(analysed, _):
    return influence_section.section(analysed, regression_influence.leave_one_out, _OF_POINTS)


def _only(make):
    return lambda analysed, _: make(analysed)


_ANALYSES = {
    "classification": {
        "latent_space": _latent_space,
        "curvature": _only(geometry_section.section),
        "adaptation": _only(adaptation_section.section),
        "leave_one_out": _leave_out_examples,
        "failures": _only(failures_section.section),
        "calibration": _only(evaluation_sections.calibration),
        "grid": _only(evaluation_sections.grid),
    },
    "regression": {
        "latent_space": _latent_space,
        "interpolation": _only(regression_sections.interpolation),
        "curvature": _only(geometry_section.section),
        "adaptation": _only(adaptation_section.section),
        "leave_one_out": _leave_out_points,
        "failures": _only(regression_sections.failures),
    },
}
NAMES = tuple(dict.fromkeys(name for analyses in _ANALYSES.values() for name in analyses))


def chosen(names, config, learner):
    """Return the analyses to make, in their order.

    Args:
      names: those asked for; empty for all that there are.
      config: RunConfig of the tasks.
      learner: MetaLearner.

    Raises:
      InputError: one of them is not known, or there is none such of the learner and its tasks.
    """
    missing = _missing(config, learner)
    possible = [name for name in _ANALYSES[config.problem] if name not in missing]
    wrong = [name for name in names if name not in possible]
    if wrong:
        why = "; ".join(f"{name} {missing[name]}" for name in wrong if name in missing)
        raise InputError(
            f"Got what={','.join(wrong)}{f' ({why})' if why else ''}; expected some of {', '.join(possible)}, which "
            f"can be analysed of this {config.problem} run of {model_name(learner)}."
        )
    return [name for name in possible if name in names] if names else possible


def _missing(config, learner):
    """Return {analysis: why there is none}."""
    missing = {"steps": "is adaptation here"}
    if getattr(learner, "encoder", None) is None:
        missing["latent_space"] = missing["interpolation"] = "needs codes that an encoder made"
    if config.episodes.num_tr_examples_per_class < 2:
        missing["leave_one_out"] = "needs 2 shots or more"
    if config.algorithm != "leo":
        missing["grid"] = "needs a learner that takes any number of ways"
    return missing


def named(learners, first):
    """Return {name: learner}, each called as the paper does, and by its folder where that would be another's name.

    Args:
      learners: {Path of the run: MetaLearner}.
      first: the learner beside which they stand.

    Raises:
      InputError: two of them have one name.
    """
    found, taken = {}, {model_name(first)}
    for path, learner in learners.items():
        name = model_name(learner)
        name = f"{name} ({path.name})" if name in taken else name
        if name in taken:
            raise InputError(f"Got compare_to={path} beside another run of that name; expected different folders.")
        taken.add(name)
        found[name] = learner
    return found


def analyse(names, analysed, folder):
    """Return {name: Section}.

    Args:
      names: from `chosen`.
      analysed: Analysed.
      folder: Path of the report, for files beside it.

    Raises:
      InputError: there are no such tasks, or they do not fit a learner.
    """
    made = _ANALYSES[analysed.evaluation("test").config.problem]
    found = {}
    for name in names:
        _logger.info("Analysing %s.", name)
        found[name] = made[name](analysed, folder)
    return found
