"""Other runs, and their results on the same tasks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leo_tf.errors import InputError
from leo_tf.evaluation.fingerprint import fingerprint
from leo_tf.runs.checkpoint_files import checkpoints_in, step_of
from leo_tf.runs.load import load
from leo_tf.runs.run_dir import RunDirectory


def require_other(path: str, problem: str, result_type: Any, flag: str) -> None:
    """Check, before any work, that there is something to compare with.

    Args:
      path: a run directory, or an npz file by evaluate.py.
      problem: name of the problem that it must be of.
      result_type: a Result.
      flag: the flag that the path was given with, for messages.

    Raises:
      InputError: neither a run of this problem with a best checkpoint, nor such a result.
    """
    if Path(path).suffix == ".npz":
        result_type.load(path)
        return
    folder = RunDirectory(path)
    found = folder.config().problem
    if found != problem:
        raise InputError(f"Got {flag}={path}, a {found} run; expected a {problem} run.")
    folder.best_checkpoint()


def result_of(path: str, evaluation: Any) -> Any:
    """Return another run's result.

    Args:
      path: a run directory, or an npz file by evaluate.py.
      evaluation: Evaluation. It is run only if the directory holds no result of it by the run's current best model.

    Returns:
      Result; one from an npz file may be of other tasks.

    Raises:
      InputError: no run or no result at `path`, or the tasks do not fit the model.
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
    """Check that runs are repetitions with other seeds: equal in everything but the training seed.

    Args:
      path: a run directory.
      others: directories of other runs.

    Raises:
      InputError: names the run and what differs, or that nothing does.
    """
    first = RunDirectory(path)
    seen = {first.config().training.seed: first.path}
    for folder in map(RunDirectory, others):
        config, data, expected = folder.config(), folder.data(), first.data()
        differing = [f for f in first.config().differences(config) if not f.startswith("training.seed:")]
        lengths = _length(first), _length(folder)
        if lengths[0] != lengths[1]:
            differing.append("steps trained (limit): {} != {}".format(*lengths))
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


def _length(folder: RunDirectory) -> str:
    """Return the steps that a run has taken, and its step limit, as text."""
    steps = step_of(next(iter(checkpoints_in(folder.latest)), Path("ckpt-0")))
    return f"{steps} ({folder.config().training.num_steps_limit})"
