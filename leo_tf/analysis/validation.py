"""What can be known to be wrong before anything is analysed."""

from leo_tf.analysis.failures_section import images_of
from leo_tf.analysis.latent_section import highlighted
from leo_tf.errors import InputError

_OF_VALIDATION = ("latent_space", "interpolation")  # as the paper; all else is of test tasks
_USED_BY = {  # {attribute of Analysed: (setting, the analysis that uses it)}
    "others": ("compare_to", "curvature"),
    "highlight": ("highlight", "latent_space"),
    "images": ("images", "failures"),
}


def require_analysable(names, analysed):
    """Check that an Analysed has all that the named analyses need.

    Raises:
      InputError: a setting that none of them uses, tasks that cannot be drawn or do not fit a learner, a highlight or
        images that there are not.
    """
    for field, (setting, analysis) in _USED_BY.items():
        if getattr(analysed, field) and analysis not in names:
            raise InputError(
                f"Got {setting}, which only {analysis} uses, and what is analysed is {', '.join(names)}; expected "
                f"what={','.join([*names, analysis])}, or no {setting}."
            )
    _require_tasks(names, analysed)
    if analysed.images and analysed.evaluation("test").config.problem != "classification":
        raise InputError(f"Got images={analysed.images} for a regression run, which has none; leave images out.")
    for name, learner in analysed.others.items():
        try:
            analysed.evaluation("test").subject(learner)
        except InputError as error:
            raise InputError(f"The {name} of compare_to does not take the tasks of this run: {error}") from None
    if "latent_space" in names:
        highlighted(analysed.subject("val"), analysed.highlight)
    if "failures" in names:
        images_of(analysed)


def _require_tasks(names, analysed):
    of_validation = [name for name in names if name in _OF_VALIDATION]
    others = [name for name in names if name not in _OF_VALIDATION]
    for split, what, other in (("val", of_validation, "test"), ("test", others, "val")):
        if not what:
            continue
        try:
            analysed.subject(split)
        except InputError as error:
            if analysed.split or not _has_tasks(analysed, other):
                raise
            raise InputError(
                f"{error} {', '.join(what)} is of the {split} classes where no split is given; give split={other}, or "
                "leave it out of what."
            ) from None


def _has_tasks(analysed, split):
    try:
        analysed.evaluation_of(split).subject(analysed.learner)
    except InputError:
        return False
    return True
