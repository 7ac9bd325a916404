"""Results of other runs, on the same tasks."""

from pathlib import Path

from leo_tf.classification.evaluation import evaluate_tasks
from leo_tf.classification.results import EvaluationResult
from leo_tf.errors import InputError
from leo_tf.evaluation.fingerprint import fingerprint
from leo_tf.runs.folder import RunFolder
from leo_tf.runs.load import load


def result_of(path, table, tasks, batch_size=200):
    """Return another run's result on tasks.

    Args:
      path: a run's folder, or the npz that evaluate.py saved.
      table: EmbeddingTable that the tasks are of.
      tasks: Tasks.
      batch_size: tasks at once, if the run has to be evaluated now. It has not where its folder holds a result of
        these tasks by the very model that is its best now.

    Returns:
      EvaluationResult; one from an npz file may be of other tasks.

    Raises:
      InputError: no run or no result at `path`, or the table does not fit the model.
    """
    path = Path(path)
    if path.suffix == ".npz":
        return EvaluationResult.load(path)
    model = load(path)
    wanted = tasks.digest, fingerprint(model)
    for file in sorted(path.glob("evaluation-*.npz")):
        try:
            result = EvaluationResult.load(file)
        except InputError:  # another kind of npz, or one by another version
            continue
        if (result.tasks, result.model) == wanted:
            return result
    return evaluate_tasks(model, table, tasks, batch_size)


def require_other_seeds(path, others):
    """Check that runs are repetitions: alike in everything but the training seed.

    Args:
      path: a run's folder.
      others: folders of other runs.

    Raises:
      InputError: names the run and what differs, or that nothing does.
    """
    first = RunFolder(path)
    seen = {first.config().training.seed: first.path}
    for folder in map(RunFolder, others):
        config, data, expected = folder.config(), folder.data(), first.data()
        differing = [f for f in first.config().differences(config) if not f.startswith("training.seed:")]
        differing += [f"data: {k} {v!r} != {data.get(k)!r}" for k, v in expected.items() if data.get(k) != v]
        if differing:
            raise InputError(
                f"{folder.path} and {first.path} differ in more than the seed: {'; '.join(differing)}. Give runs made "
                "with the same flags but --seed, or use --compare_to."
            )
        if config.training.seed in seen:
            raise InputError(
                f"{folder.path} and {seen[config.training.seed]} have the same training seed, "
                f"{config.training.seed}; give runs of different seeds."
            )
        seen[config.training.seed] = folder.path
