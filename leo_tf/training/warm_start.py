"""Warm start: initialise a run from the best checkpoint of another one."""

import logging
from typing import Any

from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.runs.load import load, run_to_init_from

_logger = logging.getLogger("leo_tf")


def named_variables(learner: Any) -> dict[str, Any]:
    """Return the trained variables of a learner by name."""
    return {variable.path.removeprefix(f"{learner.name}/"): variable for variable in learner.meta_variables}


def start_from(learner: Any, config: RunConfig) -> None:
    """Copy the best weights of the run that `init_from` names into a learner; log which variables that run lacks.

    Those keep their values, such as the second component of a mixture of codes if the other run has only one. Variables
    that only the other run has are not used. Fixed variables stay as they are.
    """
    folder = run_to_init_from(config)
    mine, theirs = named_variables(learner), named_variables(load(folder.path))
    shared = [name for name in mine if name in theirs]
    for name in shared:
        ours, found = tuple(mine[name].shape), tuple(theirs[name].shape)
        if ours != found:
            raise InputError(
                f"init_from={config.training.init_from!r} was given, a run whose {name} has shape {list(found)}; "
                f"expected {list(ours)}. Give another run, or the same settings for the sizes of the model.",
                "init_from",
            )
    for name in shared:
        mine[name].assign(theirs[name])
    kept, unused = ([name for name in one if name not in other] for one, other in ((mine, theirs), (theirs, mine)))
    _logger.info(
        "Initialised from step %d of %s%s%s.",
        *(folder.best_step(), folder.path),
        f"; initial values are kept for {', '.join(kept)}" if kept else "",
        f"; not used: {', '.join(unused)}" if unused else "",
    )
