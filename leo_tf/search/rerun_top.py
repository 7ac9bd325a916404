"""Training the best trials again with fresh seeds: the best of many noisy trials is partly lucky."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from leo_tf.errors import InputError
from leo_tf.execution import Executor, run_jobs
from leo_tf.runs.metrics import progress_of
from leo_tf.search.plan import run_folder
from leo_tf.search.study import Study
from leo_tf.search.trials import training_job

_SEEDS_PER_TRIAL = 2


class Candidate(NamedTuple):
    """One of the best trials, with its values of the objective."""

    number: int  # of the trial
    settings: dict[str, Any]
    search_score: float
    rerun_scores: tuple[float, ...]  # with fresh seeds; empty without reruns

    @property
    def score(self) -> float:
        return float(np.mean(self.rerun_scores)) if self.rerun_scores else self.search_score


def rerun_top(study: Study, executor: Executor, num_trials: int, log: Callable[[str], None] = print) -> list[Candidate]:
    """Train the best trials again and return them, the best first; 0 returns the best of the search without reruns."""
    ranked, objective = study.ranked, study.plan.objective
    if not ranked:
        raise InputError(
            f"None of the {len(study.trials)} trials of {study.folder} completed; see the reasons in "
            f"{study.folder / 'trials'}/*.job/log.txt, and narrow the space."
        )
    best = ranked[: max(1, num_trials)]
    reruns = range(1, _SEEDS_PER_TRIAL + 1) if num_trials else range(0)
    jobs = {
        (trial.number, rerun): training_job(
            run_folder(study.folder, trial.number, rerun),
            study.plan.config(trial.params, study.training_seed(trial.number, rerun)),
        )
        for trial in best
        for rerun in reruns
    }
    shown = {"measure": objective.measure, "higher_is_better": objective.higher_is_better}
    statuses = run_jobs(list(jobs.values()), executor, "run", log, text=objective.measure_text, **shown)
    candidates = []
    for trial in best:
        done = [rerun for rerun in reruns if statuses[jobs[trial.number, rerun].name]["ok"]]
        found = (objective.value(progress_of(run_folder(study.folder, trial.number, rerun))) for rerun in done)
        rerun_scores = tuple(score for score in found if score is not None)
        if rerun_scores or not num_trials:
            candidates.append(Candidate(trial.number, trial.params, trial.values[0], rerun_scores))
    if not candidates:
        reason = next(iter(statuses.values()))["reason"]
        raise InputError(f"All reruns of the best trials failed, the first with: {reason}")
    return sorted(candidates, key=lambda candidate: candidate.score, reverse=objective.higher_is_better)
