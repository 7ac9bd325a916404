"""The last word: the choice and the starting configuration, with further seeds, on the same test tasks, once."""

from typing import Any, NamedTuple

import numpy as np

from leo_tf.commands.flags import flags_of
from leo_tf.errors import InputError
from leo_tf.evaluation import Interval, difference_over_seeds
from leo_tf.execution import Job, run_jobs


class Final(NamedTuple):
    """Scores on the same test tasks, over training seeds."""

    seeds: tuple[int, ...]
    choice: list  # a Result for each seed
    start: list
    shots: int
    difference: Interval  # of the choice less the start, over the tasks, averaged over the seeds

    def means(self, name):
        """Return the mean score of each seed, of "choice" or "start"."""
        return [float(np.mean(result.task_scores(self.shots))) for result in getattr(self, name)]

    def summary(self):
        """Return a plain dict, for JSON."""
        first = self.choice[0]
        return {
            "measure": type(first).measure,
            "num_tasks": first.num_tasks,
            "shots": self.shots,
            "seeds": list(self.seeds),
            "choice": self.means("choice"),
            "start": self.means("start"),
            "difference": self.difference._asdict(),
        }


def evaluate_finally(study, values, seeds, num_tasks, executor, log=print):
    """Train the chosen and the starting settings with further seeds, and evaluate each on the same test tasks.

    Args:
      study: Study.
      values: {setting: value} of the choice.
      seeds: ints, of the trainings.
      num_tasks: test tasks; None for as many as evaluate.py takes.
      executor: Executor, entered.
      log: is called with a line for each run that ends.

    Returns:
      Final.

    Raises:
      InputError: a run failed.
    """
    plan = study.plan
    jobs = {
        (name, seed): _job(study.folder / "final" / f"{name}-{seed}", plan.config(chosen, seed), num_tasks)
        for seed in seeds
        for name, chosen in (("choice", values), ("start", {}))
    }
    statuses = run_jobs(list(jobs.values()), executor, "run", log)
    for name, status in statuses.items():
        if not status["ok"]:
            raise InputError(f"The final run {name} failed: {status['reason']} Repeat the command to try again.")
    from leo_tf.runs.registry import problem_of

    result_type: Any = problem_of(plan.start).evaluation_type.result_type
    results = {key: result_type.load(job.result.with_suffix(".npz")) for key, job in jobs.items()}
    choice, start = ([results[name, seed] for seed in seeds] for name in ("choice", "start"))
    shots = plan.start.episodes.num_tr_examples_per_class
    difference = difference_over_seeds(zip(choice, start, strict=True), shots)
    return Final(tuple(seeds), choice, start, shots, difference)


def _job(run, config, num_tasks):
    folder = run.with_name(f"{run.name}.job")
    result = folder / "evaluation.json"
    evaluate = [f"--checkpoint_path={run}", f"--output={result}"]
    if num_tasks is not None:
        evaluate.append(f"--num_tasks={num_tasks}")
    train = (*flags_of(config), f"--checkpoint_path={run}")
    return Job(run.name, folder, (("train.py", train), ("evaluate.py", tuple(evaluate))), result, run)
