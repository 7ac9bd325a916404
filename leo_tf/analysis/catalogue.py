"""What can be analysed, of which problem and which learner."""

from leo_tf.analysis import geometry_section, latent_section
from leo_tf.analysis.analysed import model_name
from leo_tf.analysis.projector import write_projector
from leo_tf.errors import InputError


def _latent_space(analysed, folder):
    return latent_section.section(analysed, lambda space: write_projector(folder, space))


def _curvature(analysed, folder):
    return geometry_section.section(analysed)


_ANALYSES = {"latent_space": _latent_space, "curvature": _curvature}
_OF_PROBLEMS = {
    "classification": tuple(_ANALYSES),
    "regression": ("latent_space", "curvature"),
}


def chosen(names, problem, learner):
    """Return the analyses to make, in their order.

    Args:
      names: those asked for; empty for all that there are.
      problem: its name.
      learner: MetaLearner.

    Raises:
      InputError: one of them is not known, or there is none such of the learner.
    """
    possible = [name for name in _OF_PROBLEMS[problem] if name != "latent_space" or _has_codes(learner)]
    wrong = [name for name in names if name not in possible]
    if wrong:
        raise InputError(
            f"Got what={','.join(wrong)}; expected some of {', '.join(possible)}, which a {problem} run of "
            f"{model_name(learner)} has."
        )
    return [name for name in possible if name in names] if names else possible


def _has_codes(learner):
    return getattr(learner, "encoder", None) is not None


def named(learners, first):
    """Return {name: learner}, each called as the paper does, and by its folder where that would be another's name.

    Args:
      learners: {Path of the run: MetaLearner}.
      first: the learner beside which they stand.
    """
    found, taken = {}, {model_name(first)}
    for path, learner in learners.items():
        name = model_name(learner)
        name = f"{name} ({path.name})" if name in taken else name
        if name in taken:
            raise InputError(f"Got compare_to={path} twice; expected different runs.")
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
    return {name: _ANALYSES[name](analysed, folder) for name in names}
