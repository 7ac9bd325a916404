"""Final evaluation: the best and the base configuration, trained with further seeds, once, on the same test tasks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from leo_tf.commands.flags import flags_of
from leo_tf.errors import InputError
from leo_tf.evaluation import Interval, difference_over_seeds
from leo_tf.execution import Executor, Job, run_jobs
from leo_tf.search.study import Study


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
