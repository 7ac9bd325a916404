"""Other runs, and their results on the same tasks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leo_tf.errors import InputError
from leo_tf.evaluation.fingerprint import fingerprint
from leo_tf.runs.load import load
from leo_tf.runs.run_dir import RunDirectory


def require_other(path: str, problem: str, result_type: Any, flag: str) -> None:
    """Check, before any work, that `path` is a run of this problem with a best checkpoint, or a result's npz file."""
    if Path(path).suffix == ".npz":
        result_type.load(path)
        return
    folder = RunDirectory(path)
    found = folder.config().problem
    if found != problem:
        raise InputError(f"Got {flag}={path}, a {found} run; expected a {problem} run.")
    folder.best_checkpoint()


def result_of(path: str, evaluation: Any) -> Any:
    """Return another run's result, or that of an npz file by evaluate.py, which may be of other tasks.

    The Evaluation is run only if the run directory holds no result of it by the run's current best model.
    """
    if Path(path).suffix == ".npz":
        return evaluation.result_type.load(path)
    folder, learner = RunDirectory(path), load(path)
    print_of_learner = fingerprint(learner)
    for file in sorted(folder.path.glob("evaluation-*.npz")):
        try:
            result = evaluation.result_type.load(file)
        except InputError:  # another kind of npz file
            continue
        if evaluation.is_answered_by(result, learner, print_of_learner):
            return result
    return evaluation.evaluate(learner)


def require_other_seeds(path: Any, others: Sequence[str]) -> None:
    """Check that runs are repetitions with other seeds: equal in everything but the training seed."""
    first = RunDirectory(path)
    seen = {first.config().training.seed: first.path}
    for folder in map(RunDirectory, others):
        config, data, expected = folder.config(), folder.data(), first.data()
        differing = [f for f in first.config().differences(config) if not f.startswith("training.seed:")]
        mine, theirs = (f"{d.latest_step() or 0} ({d.config().training.num_steps_limit})" for d in (first, folder))
        if mine != theirs:
            differing.append(f"steps trained (limit): {mine} != {theirs}")
        differing += [f"data: {k} {v!r} != {data.get(k)!r}" for k, v in expected.items() if data.get(k) != v]
        if differing:
            raise InputError(
                f"{folder.path} and {first.path} differ in more than the seed: {'; '.join(differing)}. Give runs made "
                "with the same settings but the seed, or use compare_to."
            )
        if config.training.seed in seen:
            raise InputError(
                f"{folder.path} and {seen[config.training.seed]} have the same training seed, "
                f"{config.training.seed}; give runs of different seeds."
            )
        seen[config.training.seed] = folder.path
