"""Selection among trials: the best are trained again, because the best of many noisy ones is partly lucky.

The final evaluation then trains the best and the base configuration with further seeds, and evaluates both on the same
test tasks, once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from leo_tf.commands.flags import flags_of
from leo_tf.errors import InputError
from leo_tf.evaluation import Interval, difference_over_seeds
from leo_tf.execution import Executor, Job, run_jobs
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


class FinalEvaluation(NamedTuple):
    """Mean scores on the same test tasks, one per training seed."""

    measure: str
    num_tasks: int
    shots: int
    seeds: Sequence[int]
    best: list[float]
    base: list[float]
    difference: Interval  # best minus base, over the tasks, averaged over the seeds


def run_final_evaluation(
    study: Study,
    settings: Mapping[str, Any],
    seeds: Sequence[int],
    num_tasks: int | None,
    executor: Executor,
    log: Callable[[str], None] = print,
) -> FinalEvaluation:
    """Train the best settings and the base configuration with each seed, and evaluate all on the same test tasks.

    With None for `num_tasks`, evaluate.py's default. Raises InputError if a run failed.
    """
    from leo_tf.runs.registry import problem_of

    plan, jobs = study.plan, {}
    for seed in seeds:
        for name, searched in (("best", settings), ("base", {})):
            run = study.folder / "final" / f"{name}-{seed}"
            folder = run.with_name(f"{run.name}.job")
            result, shared = folder / "evaluation.json", f"--checkpoint_path={run}"
            train = ("train.py", (*flags_of(plan.config(searched, seed)), shared))
            tasks = () if num_tasks is None else (f"--num_tasks={num_tasks}",)
            evaluate = ("evaluate.py", (shared, f"--output={result}", *tasks))
            jobs[name, seed] = Job(run.name, folder, (train, evaluate), result, run)
    for name, status in run_jobs(list(jobs.values()), executor, "run", log).items():
        if not status["ok"]:
            raise InputError(f"The final run {name} failed: {status['reason']} Rerun the command to try again.")
    result_type: Any = problem_of(plan.base).evaluation_type.result_type
    results = {key: result_type.load(job.folder / "evaluation.npz") for key, job in jobs.items()}
    best, base = ([results[name, seed] for seed in seeds] for name in ("best", "base"))
    shots = plan.base.episodes.num_tr_examples_per_class
    best_means, base_means = ([float(np.mean(each.task_scores(shots))) for each in of] for of in (best, base))
    difference = difference_over_seeds(zip(best, base, strict=True), shots)
    return FinalEvaluation(result_type.measure, best[0].num_tasks, shots, seeds, best_means, base_means, difference)
