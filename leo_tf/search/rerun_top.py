"""Train the best trials again with fresh seeds: the best of many noisy trials owes its place partly to luck."""

from typing import NamedTuple

import numpy as np

from leo_tf.errors import InputError
from leo_tf.execution import run_jobs
from leo_tf.runs.metrics import progress_of
from leo_tf.search.plan import run_folder
from leo_tf.search.trials import training_job

SEEDS = 2  # fresh ones for each


class Repeated(NamedTuple):
    """A trial, and what its settings gave with fresh seeds."""

    number: int
    values: dict  # its settings
    searched: float  # the objective in the search
    repeated: tuple[float, ...]  # with fresh seeds; empty where none was trained

    @property
    def judged(self):
        """What it is chosen by, float: the mean with fresh seeds."""
        return float(np.mean(self.repeated)) if self.repeated else self.searched


def rerun_top(study, executor, most, log=print):
    """Train the best trials again.

    Args:
      study: Study whose trials are done.
      executor: Executor, entered.
      most: how many trials; with 0 the best of the search stands as it is.
      log: is called with a line for each run that ends.

    Returns:
      List of Repeated, the best first.

    Raises:
      InputError: no trial was trained to the end, or all repetitions failed.
    """
    ranked, objective = study.ranked, study.plan.objective
    if not ranked:
        raise InputError(
            f"None of the {len(study.trials)} trials of {study.folder} was trained to the end; see the reasons in "
            f"{study.folder / 'trials'}/*.job/log.txt, and narrow the space."
        )
    best = ranked[: max(1, most)]
    seeds = range(1, SEEDS + 1) if most else range(0)
    jobs = {
        (trial.number, again): training_job(
            run_folder(study.folder, trial.number, again),
            study.plan.config(trial.params, study.seed(trial.number, again)),
        )
        for trial in best
        for again in seeds
    }
    shown = {"measure": objective.measure, "higher_is_better": objective.higher_is_better}
    statuses = run_jobs(list(jobs.values()), executor, "run", log, text=objective.text, **shown)
    found = {
        key: objective.value(progress_of(job.run)) for key, job in jobs.items() if statuses[job.name]["ok"]
    }  # fmt: skip
    repeated = [
        Repeated(
            trial.number,
            trial.params,
            trial.value,
            tuple(value for again in seeds if (value := found.get((trial.number, again))) is not None),
        )
        for trial in best
    ]
    if seeds and not any(each.repeated for each in repeated):
        reason = next(iter(statuses.values()))["reason"]
        raise InputError(f"All repetitions of the best trials failed, the first with: {reason}")
    trained = [each for each in repeated if each.repeated or not seeds]
    return sorted(trained, key=lambda each: each.judged, reverse=objective.higher_is_better)
