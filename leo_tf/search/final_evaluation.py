"""Final evaluation: the best and the base configuration, trained with further seeds, once, on the same test tasks."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from leo_tf.commands.flags import flags_of
from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.evaluation import Interval, difference_over_seeds
from leo_tf.execution import Executor, Job, run_jobs
from leo_tf.search.study import Study


class FinalEvaluation(NamedTuple):
    """Results on the same test tasks, one per training seed."""

    seeds: tuple[int, ...]
    best: list[Any]
    base: list[Any]
    shots: int
    difference: Interval  # best minus base, over the tasks, averaged over the seeds

    @property
    def best_means(self) -> list[float]:
        """Mean score of the best configuration with each seed."""
        return self._means(self.best)

    @property
    def base_means(self) -> list[float]:
        """Mean score of the base configuration with each seed."""
        return self._means(self.base)

    def _means(self, results: list[Any]) -> list[float]:
        return [float(np.mean(result.task_scores(self.shots))) for result in results]

    def summary(self) -> dict[str, Any]:
        """Return a plain dict, for JSON."""
        return {
            "measure": type(self.best[0]).measure,
            "num_tasks": self.best[0].num_tasks,
            "shots": self.shots,
            "seeds": list(self.seeds),
            "best": self.best_means,
            "base": self.base_means,
            "difference": self.difference._asdict(),
        }


def run_final_evaluation(
    study: Study,
    settings: Mapping[str, Any],
    seeds: Sequence[int],
    num_tasks: int | None,
    executor: Executor,
    log: Callable[[str], None] = print,
) -> FinalEvaluation:
    """Train the best and the base configuration with each seed, and evaluate all on the same test tasks.

    Args:
      study: Study.
      settings: {name: value} of the best trial.
      seeds: of the trainings.
      num_tasks: test tasks; None for evaluate.py's default.
      executor: Executor, entered.
      log: function called with a line for each run that ends.

    Raises:
      InputError: a run failed.
    """
    plan = study.plan
    jobs = {
        (name, seed): _job(study.folder / "final" / f"{name}-{seed}", plan.config(searched, seed), num_tasks)
        for seed in seeds
        for name, searched in (("best", settings), ("base", {}))
    }
    for name, status in run_jobs(list(jobs.values()), executor, "run", log).items():
        if not status["ok"]:
            raise InputError(f"The final run {name} failed: {status['reason']} Rerun the command to try again.")
    from leo_tf.runs.registry import problem_of

    result_type: Any = problem_of(plan.base).evaluation_type.result_type
    results = {key: result_type.load(job.folder / "evaluation.npz") for key, job in jobs.items()}
    best, base = ([results[name, seed] for seed in seeds] for name in ("best", "base"))
    shots = plan.base.episodes.num_tr_examples_per_class
    difference = difference_over_seeds(zip(best, base, strict=True), shots)
    return FinalEvaluation(tuple(seeds), best, base, shots, difference)


def _job(run: Path, config: RunConfig, num_tasks: int | None) -> Job:
    folder = run.with_name(f"{run.name}.job")
    result = folder / "evaluation.json"
    evaluate = [f"--checkpoint_path={run}", f"--output={result}"]
    if num_tasks is not None:
        evaluate.append(f"--num_tasks={num_tasks}")
    train = (*flags_of(config), f"--checkpoint_path={run}")
    return Job(run.name, folder, (("train.py", train), ("evaluate.py", tuple(evaluate))), result, run)
