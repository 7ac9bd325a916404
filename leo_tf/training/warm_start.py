"""Where training begins: with the weights of another run."""

import logging

from leo_tf.errors import InputError
from leo_tf.runs.load import load
from leo_tf.runs.warm_start import run_to_init_from

_logger = logging.getLogger("leo_tf")


def named_variables(learner):
    """Return the trainable variables of a learner by name, {name: variable}."""
    return {variable.path.removeprefix(f"{learner.name}/"): variable for variable in learner.meta_variables}


def begin(learner, config):
    """Give a learner the best weights of the run that `init_from` names; log which variables that does not have.

    Those keep their values, as the second component of a mixture of codes where the other run has one. What only the
    other run has is not used. What is fitted to the data before training stays as it is.

    Args:
      learner: MetaLearner.
      config: its RunConfig.

    Raises:
      InputError: no trained run there, one of another problem or algorithm, or a variable of another shape.
    """
    folder = run_to_init_from(config)
    mine, theirs = named_variables(learner), named_variables(load(folder.path))
    for name in [name for name, each in mine.items() if any(each is first for first in learner.warmup_variables)]:
        theirs.pop(name, None)  # they learn from zero
    shared = [name for name in mine if name in theirs]
    for name in shared:
        ours, found = tuple(mine[name].shape), tuple(theirs[name].shape)
        if ours != found:
            raise InputError(
                f"init_from={config.training.init_from!r} was given, a run whose {name} has shape {list(found)}; "
                f"expected {list(ours)}. Give the settings that make its size as that run has them, or another run."
            )
    for name in shared:
        mine[name].assign(theirs[name])
    left, unused = ([name for name in one if name not in other] for one, other in ((mine, theirs), (theirs, mine)))
    _logger.info(
        "Starting from step %d of %s; %s%s.",
        *(folder.best_step(), folder.path),
        f"{', '.join(left)} {'keep' if len(left) > 1 else 'keeps'} initial values" if left else "all variables are its",
        f"; its {', '.join(unused)} not used" if unused else "",
    )
