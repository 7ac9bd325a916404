"""The part of evaluate.py's work that all workers share: from the run to the report on its model."""

from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from leo_tf import runs
from leo_tf.commands.flags import override
from leo_tf.config import RunConfig
from leo_tf.errors import InputError
from leo_tf.files import expanded, require_writable
from leo_tf.problem import Evaluation, EvaluationReport, EvaluationRequest, Problem
from leo_tf.runs.registry import problem_of
from leo_tf.runs.results import require_other, require_other_seeds, result_of
from leo_tf.runs.run_dir import RunDirectory

# Flags of evaluate.py that apply to one problem only.
_OF_ONE_PROBLEM = {
    "classification": (
        *("data_path", "dataset_name", "embedding_crop", "num_classes", "num_tr_examples_per_class", "tasks_within"),
        *("queries", "tasks", "write_tasks", "calibrate", "grid"),
    ),
    "regression": ("samples", "shots_grid"),
}
_OF_ONE_SHAPE = ("num_tr_examples_per_class", "queries", "tasks", "write_tasks", "compare_to", "seed_runs")
_FIXED_BY_TASKS = ("num_classes", "num_tr_examples_per_class", "tasks_within", "queries", "num_tasks", "seed")


class EvaluationJob(NamedTuple):
    """A run's model and the report on it."""

    folder: RunDirectory
    trained: RunConfig
    problem: Problem
    evaluation: Evaluation
    learner: Any  # MetaLearner
    step: int  # of the evaluated checkpoint; known to the chief alone, as are the folder and the output
    report: EvaluationReport
    output: Path | None  # of the JSON file, beside which all others are written


def evaluate_run(values: flags.FlagValues, workers: Any) -> EvaluationJob:
    """Evaluate as the parsed flags say; all workers call it, the chief reads the run and tells the others."""
    folder = RunDirectory(values.checkpoint_path)
    config, record = workers.broadcast([folder.config().to_json(), folder.data()] if workers.is_chief else None)
    trained = RunConfig.from_json(config)
    problem = problem_of(override(trained, values))
    _require_flags(values, folder, problem.config.problem)
    kind = problem.grid_type if values.grid else problem.evaluation_type
    evaluation = kind(problem.config, _request(values), trained, record)
    output, step = None, -1
    if workers.is_chief:
        output = _output(values, folder, evaluation)
        for flag, paths in (("compare_to", values.compare_to), ("seed_runs", values.seed_runs)):
            for path in paths:
                require_other(path, problem.config.problem, evaluation.result_type, flag)
        require_other_seeds(folder.path, values.seed_runs)
        learner, step = runs.load(folder.path), folder.best_step()  # a run in training may get a better one any time
        if values.write_tasks:
            evaluation.write_tasks(values.write_tasks)
        for path in values.compare_to:
            if Path(path).suffix == ".npz":
                evaluation.require_comparable(result_of(path, evaluation))
    else:
        learner = problem_of(trained).build_learner(record)
    workers.broadcast_variables(learner.variables)
    report = evaluation.run(learner, f"{learner.algorithm}, step {step}", workers)
    return EvaluationJob(folder, trained, problem, evaluation, learner, step, report, output)


def _require_flags(values: flags.FlagValues, folder: RunDirectory, problem: str) -> None:
    """Refuse flags that do not apply to the problem, or not together."""
    others = sorted(flag for name, flags in _OF_ONE_PROBLEM.items() if name != problem for flag in flags)
    given = [flag for flag in others if values[flag].present]
    if given:
        raise InputError(
            f"{folder.path} is a {problem} run, to which {', '.join(given)} does not apply; leave it out.", *given
        )
    given = [flag for flag in _OF_ONE_SHAPE if values.grid and values[flag].present]
    if given:
        raise InputError(f"Got grid beside {', '.join(given)}, for tasks of one shape; leave one out.", "grid", *given)
    given = [flag for flag in _FIXED_BY_TASKS if values.tasks and values[flag].present]
    if given:
        raise InputError(f"tasks={values.tasks} fixes the tasks; leave out {', '.join(given)}.", "tasks", *given)


def _request(values: flags.FlagValues) -> EvaluationRequest:
    try:
        shots = tuple(int(number) for number in values.shots_grid)
    except ValueError:
        given = ",".join(values.shots_grid)
        raise InputError(f"Got shots_grid={given}; expected whole numbers, such as 1,5.", "shots_grid") from None
    return EvaluationRequest(
        split=values.split,
        num_tasks=values.num_tasks,
        seed=values.seed,
        queries=values.queries or None,
        tasks_file=values.tasks,
        samples=values.samples,
        shots=shots,
        baselines=tuple(values.baselines),
    )


def _output(values: flags.FlagValues, folder: RunDirectory, evaluation: Evaluation) -> Path:
    """Return the path of the JSON file; all other files are written beside it."""
    output = expanded(values.output) if values.output else folder.path / f"{evaluation.name}.json"
    if output.suffix == ".npz":
        raise InputError(
            f"Got output={output}, the name of the per-task results; expected a name that ends in .json.", "output"
        )
    require_writable(output)
    if not output.name:
        raise InputError(f"Cannot write {output} (it is a folder); give the name of a file.", "output")
    for path in filter(None, [output.with_suffix(".npz"), values.write_tasks]):
        require_writable(path)
    return output
