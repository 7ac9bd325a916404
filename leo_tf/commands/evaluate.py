"""The evaluate command: its flags, what it writes, and the order of its work; the same for every problem."""

import functools
import logging
import os
from pathlib import Path

from absl import flags

from leo_tf.commands.flags import define_override_flags, override
from leo_tf.commands.help import as_flags
from leo_tf.commands.logs import load_tensorflow
from leo_tf.errors import InputError
from leo_tf.files import expanded, require_writable, write_json
from leo_tf.files.reports import beside, versions
from leo_tf.runs.folder import RunFolder

_logger = logging.getLogger("leo_tf")
_FIXED_BY_TASKS = ("num_classes", "num_tr_examples_per_class", "tasks_within", "queries", "num_tasks", "seed")


def define_flags(values=flags.FLAGS):
    """Define the flags of evaluate.py."""
    flags.DEFINE_string(
        "checkpoint_path", "runs/leo", "the run's folder, as given to train.py", flag_values=values, module_name="Run"
    )
    define_override_flags(
        [
            *("data_path", "dataset_name", "embedding_crop", "cache_dir", "download", "num_classes"),
            *("num_tr_examples_per_class", "tasks_within", "metatest_batch_size", "problem", "jit"),
        ],
        values,
    )
    _define_own_flags(values)


def _define_own_flags(values):
    def define(kind, group):
        return functools.partial(kind, flag_values=values, module_name=group)

    number, text = define(flags.DEFINE_integer, "Tasks"), define(flags.DEFINE_string, "Tasks")
    define(flags.DEFINE_enum, "Tasks")(
        "split",
        "test",
        ["train", "val", "test"],
        "whose classes: held out for testing, or those of training or validation",
    )
    number("num_tasks", None, "number of tasks; default 10,000, of a regression run 1,000")
    number("queries", 0, "query examples of a class; 0: all remaining ones")
    number("seed", 0, "seed of the tasks; the same seed gives every model the same tasks")
    text("tasks", "", "evaluate on exactly the tasks of this file, by --write_tasks")
    define(flags.DEFINE_list, "Tasks")(
        "yardsticks",
        [],
        "more to compare with than nearest class mean: all, or some of logistic_regression, ridge, lda",
    )
    texts = define(flags.DEFINE_list, "Output")
    texts("compare_to", [], "other runs' folders, or their evaluation-*.npz, to compare with in pairs")
    texts("seed_runs", [], "folders of the same training with other seeds, for mean and standard deviation over all")
    texts(
        "analysis",
        [],
        "numbers and pictures, any of: calibration (whether probabilities can be believed), steps (accuracy after each "
        "step of adaptation), grid (accuracy by ways and shots); of a regression run: gaussian_process",
    )
    define(flags.DEFINE_integer, "Output")(
        "analysis_tasks", 1000, "tasks of an analysis, the first ones of the evaluation"
    )
    define(flags.DEFINE_bool, "Output")(
        "calibrate",
        False,
        "fit on validation tasks the temperature at which probabilities can be believed; kept in the run for exports "
        "and FewShotClassifier, which use it where told calibrated",
    )
    texts("ways_grid", [], "ways of --analysis=grid; empty: 5, 10, 20")
    texts("shots_grid", [], "shots of --analysis=grid; empty: 1, 5; of a regression run: 1, 2, 3, 5, 10, 20")
    text = define(flags.DEFINE_string, "Output")
    text("write_tasks", "", "write the tasks to this npz file, for --tasks")
    text(
        "output",
        "",
        "JSON file of the result; empty: evaluation-SPLIT.json and the like in the run's folder",
    )
    define(flags.DEFINE_integer, "Regression")("samples", 100, "functions sampled for each task")


def run(values=flags.FLAGS):
    """Evaluate, write, compare, analyse, as the parsed flags say; return the exit status.

    What can be known to be wrong is refused before the work.
    """
    folder = RunFolder(values.checkpoint_path)
    trained = folder.config()
    _require_problem(values, folder, trained)
    load_tensorflow()
    from leo_tf import analysis, runs
    from leo_tf.evaluation import plots
    from leo_tf.runs.problems import problem_of
    from leo_tf.runs.results import require_other, require_other_seeds, result_of
    from leo_tf.training.events import write_result

    problem = problem_of(override(trained, values))
    _require_flags(values, folder, problem)
    evaluated = problem.evaluation_type(problem.config, _request(values, problem), trained, folder.data())
    analyses = [name for name in values.analysis if name not in problem.yardsticks]
    ways, shots = (_numbers(name, values[name].value) for name in ("ways_grid", "shots_grid"))
    analysis.require_analyses(values.analysis, problem.config, problem.yardsticks, ways)
    output = _output(values, folder, evaluated)
    for flag in ("compare_to", "seed_runs"):
        for path in values[flag].value:
            require_other(path, problem.config.problem, evaluated.result_type, flag)
    require_other_seeds(folder.path, values.seed_runs)
    learner, step = runs.load(folder.path), folder.best_step()
    if values.write_tasks:
        evaluated.tasks.save(values.write_tasks)
    for path in values.compare_to:
        if Path(path).suffix == ".npz":
            evaluated.require_comparable(result_of(path, evaluated))

    result = evaluated.evaluate(learner)
    print(f"{evaluated.title}{result}")
    advice = evaluated.advice(result, step, folder.latest_step())
    if advice:
        print(as_flags(advice))
    result.save(output.with_suffix(".npz"))
    about = {"checkpoint_path": str(folder.path), "step": step, **evaluated.about}
    report = {**about, "versions": versions(), **result.summary()}
    yardsticks = evaluated.yardsticks()
    if yardsticks:
        report["yardsticks"] = {each.algorithm: each.summary() for each in yardsticks}
        print("", *yardsticks, sep="\n\n")
    if values.calibrate:
        found = evaluated.calibrate(learner)
        write_json(folder.calibration_file, {"step": step, **found})
        print(
            f"calibrated: temperature {found['temperature']:.3f}; expected calibration error on validation tasks "
            + " -> ".join(f"{100 * found[when]['expected_calibration_error']:.2f} %" for when in ("before", "after"))
        )
    extras = evaluated.extras(learner, f"{learner.algorithm}, step {step}")
    if extras.text:
        print(f"\n{extras.text}")
    write_json(output, {**report, **extras.summary})
    events = _events(folder, values.split)
    trained_shots = trained.episodes.num_tr_examples_per_class
    if events and evaluated.is_of_the_run and trained_shots in result.shots_evaluated:
        value = float(result.task_scores(trained_shots).mean())
        with plots.writing_events(events):
            write_result(folder, values.split, problem.measure, value, step)
    for name, figure in extras.figures.items():
        _draw(figure, beside(output, name), events, step)

    about |= {name: report[name] for name in ("data_digest", "tasks_digest", "model_fingerprint") if name in report}
    if values.compare_to:
        _compare(values.compare_to, result, lambda path: result_of(path, evaluated), output, about)
    if values.seed_runs:
        _over_seeds([result, *(result_of(path, evaluated) for path in values.seed_runs)], values, output, about)
    if analyses:
        some = evaluated.tasks.take(slice(values.analysis_tasks))
        batch_size = problem.config.training.metatest_batch_size
        request = analysis.Request(learner, evaluated.table, some, batch_size, ways, shots, values.queries or None)
        about |= {"tasks_digest": some.digest, "num_tasks": len(some)}
        for name in analyses:
            found = analysis.analyse(name, request, f"{about['dataset_name']} {values.split}, step {step}")
            print(found.text)
            write_json(beside(output, name), {**about, name: found.summary})
            _draw(found.figure, beside(output, name), events, step)
    return 0


def _require_problem(values, folder, trained):
    given = values["problem"].value
    if given not in (None, trained.problem):
        raise InputError(f"{folder.path} is a {trained.problem} run; --problem={given} was given. Leave it out.")


def _require_flags(values, folder, problem):
    """Refuse flags that mean nothing for the problem, or not together."""
    from leo_tf.runs.problems import flags_of_other_problems

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
    from leo_tf.problem import EvaluationRequest

    return EvaluationRequest(
        split=values.split,
        num_tasks=values.num_tasks,
        seed=values.seed,
        queries=values.queries or None,
        tasks_file=values.tasks,
        samples=values.samples,
        shots=tuple(_numbers("shots_grid", values.shots_grid)),
        yardsticks=(*values.yardsticks, *(name for name in values.analysis if name in problem.yardsticks)),
    )


def _output(values, folder, evaluated):
    """Return the path of the JSON; whatever else is written lies beside it."""
    output = expanded(values.output) if values.output else folder.path / f"{evaluated.name}.json"
    if output.suffix == ".npz":
        raise InputError(f"Got --output={output}; the per-task results take that name. Expected a name in .json.")
    require_writable(output)
    if not output.name:
        raise InputError(f"Cannot write {output} (it is a folder); give the name of a file.")
    for path in filter(None, [output.with_suffix(".npz"), values.write_tasks]):
        require_writable(path)
    return output


def _events(folder, split):
    """Return where TensorBoard's events of the evaluation go; None, and say so, in a run of another user."""
    if os.access(folder.path, os.W_OK | os.X_OK):
        return folder.events(split)
    _logger.warning("%s cannot be written: TensorBoard will not show this evaluation.", folder.path)
    return None


def _compare(paths, result, result_of, output, about):
    from leo_tf.evaluation import compare

    comparisons = []
    for path in paths:
        other = result_of(path)
        for shots in result.shots_evaluated:
            comparison = compare(result, other, shots)
            where = f"{shots} shot: " if len(result.shots_evaluated) > 1 else ""
            print(f"{where}{about['checkpoint_path']} less {path} ({other.algorithm}): {comparison}")
            comparisons.append({"to": path, "shots": shots, **comparison.summary()})
    write_json(beside(output, "comparisons"), {**about, "comparisons": comparisons})


def _over_seeds(results, values, output, about):
    from leo_tf.evaluation import seed_summary

    summaries = []
    for shots in results[0].shots_evaluated:
        summary = seed_summary(results, shots)
        where = f"{shots} shot, " if len(results[0].shots_evaluated) > 1 else ""
        print(f"{where}over training seeds: {summary}")
        summaries.append({"shots": shots, **summary._asdict()})
    write_json(beside(output, "seeds"), {**about, "seed_runs": values.seed_runs, "over_seeds": summaries})


def _draw(figure, numbers, events, step):
    """Write a figure beside its numbers, as PNG and, where `events` is no None, for TensorBoard."""
    from leo_tf.evaluation import plots

    picture = numbers.with_suffix(".png")
    plots.save(figure, picture, events, numbers.stem, step)
    print(f"see {picture}")


def _numbers(name, texts):
    try:
        return [int(text) for text in texts]
    except ValueError:
        raise InputError(f"Got --{name}={','.join(texts)}; expected whole numbers, as in --{name}=1,5.") from None
