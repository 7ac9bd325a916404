"""The part of evaluate.py's work that all of many workers take: from the run to the scores of its model."""

from pathlib import Path
from typing import Any, NamedTuple

from leo_tf import analysis, runs
from leo_tf.commands.flags import override
from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.files import expanded, require_writable
from leo_tf.problem import EvaluationRequest
from leo_tf.runs.registry import flags_of_other_problems, problem_of
from leo_tf.runs.results import require_other, require_other_seeds, result_of
from leo_tf.runs.run_dir import RunDirectory

_FIXED_BY_TASKS = ("num_classes", "num_tr_examples_per_class", "tasks_within", "queries", "num_tasks", "seed")


class Evaluated(NamedTuple):
    """A run's model, and what it scored."""

    folder: RunDirectory
    trained: RunConfig
    problem: Any  # Problem
    evaluation: Any  # Evaluation
    learner: Any
    step: int  # that the learner was saved at; the chief's alone, as are the folder and the output
    result: Any  # Result
    output: Path | None  # of the JSON, beside which all else is written


def evaluated_by(values, workers):
    """Evaluate as the parsed flags say; what can be known to be wrong is refused before the work.

    Args:
      values: flags of evaluate.py.
      workers: Collectives, whose workers all call this, or SINGLE_PROCESS. Only the chief reads the run; it tells the others.

    Returns:
      Evaluated.

    Raises:
      InputError: there is no trained run, or the flags, the data and the run do not fit.
    """
    folder = RunDirectory(values.checkpoint_path)
    about, record = workers.all_gather([folder.config().to_json(), folder.data()] if workers.is_chief else None)[0]
    trained = RunConfig.from_json(about)
    problem = problem_of(override(trained, values))
    _require_flags(values, folder, problem)
    request = _request(values, problem)
    evaluation = problem.evaluation_type(problem.config, request, trained, record, workers)
    analysis.require_analyses(values.analysis, problem.config, problem.baselines, whole_numbers("ways_grid", values))
    output, step = None, -1
    if workers.is_chief:
        output = _output(values, folder, evaluation)
        _require_others(values, folder, evaluation)
        learner, step = runs.load(folder.path), folder.best_step()  # which a run that still trains may change any time
        if values.write_tasks:
            evaluation.tasks.save(values.write_tasks)
        for path in values.compare_to:
            if Path(path).suffix == ".npz":
                evaluation.require_comparable(result_of(path, evaluation))
    else:
        learner = problem_of(trained).build_learner(record)
    workers.broadcast_variables(learner.variables)
    result = evaluation.evaluate(learner)
    evaluation.workers = SINGLE_PROCESS  # what else it is asked for is the chief's alone
    return Evaluated(folder, trained, problem, evaluation, learner, step, result, output)


def whole_numbers(name, values):
    """Return the whole numbers, a list, that are given to a flag; raises InputError where they are none."""
    given = values[name].value
    try:
        return [int(number) for number in given]
    except ValueError:
        raise InputError(f"Got --{name}={','.join(given)}; expected whole numbers, as in --{name}=1,5.") from None


def _require_flags(values, folder, problem):
    """Refuse flags that mean nothing for the problem, or not together."""
    name = problem.config.problem
    given = [f"--{flag}" for flag in flags_of_other_problems(name) if values[flag].present]
    if given:
        raise InputError(f"{folder.path} is a {name} run, for which {', '.join(given)} has no meaning; leave it out.")
    given = [f"--{flag}" for flag in _FIXED_BY_TASKS if values.tasks and values[flag].present]
    if given:
        raise InputError(f"--tasks={values.tasks} fixes the tasks; leave out {', '.join(given)}.")
    if values.analysis_tasks < 2:
        raise InputError(f"Got --analysis_tasks={values.analysis_tasks}; expected at least 2, for an interval.")


def _request(values, problem):
    return EvaluationRequest(
        split=values.split,
        num_tasks=values.num_tasks,
        seed=values.seed,
        queries=values.queries or None,
        tasks_file=values.tasks,
        samples=values.samples,
        shots=tuple(whole_numbers("shots_grid", values)),
        baselines=(*values.baselines, *(name for name in values.analysis if name in problem.baselines)),
    )


def _require_others(values, folder, evaluation):
    for flag in ("compare_to", "seed_runs"):
        for path in values[flag].value:
            require_other(path, evaluation.config.problem, evaluation.result_type, flag)
    require_other_seeds(folder.path, values.seed_runs)


def _output(values, folder, evaluation):
    """Return the path of the JSON; whatever else is written lies beside it."""
    output = expanded(values.output) if values.output else folder.path / f"{evaluation.name}.json"
    if output.suffix == ".npz":
        raise InputError(f"Got --output={output}; the per-task results take that name. Expected a name in .json.")
    require_writable(output)
    if not output.name:
        raise InputError(f"Cannot write {output} (it is a folder); give the name of a file.")
    for path in filter(None, [output.with_suffix(".npz"), values.write_tasks]):
        require_writable(path)
    return output
