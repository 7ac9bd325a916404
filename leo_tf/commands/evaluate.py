"""The evaluate command: its flags, what it writes, and the order of its work."""

import functools
import logging
from pathlib import Path

from absl import flags

from leo_tf.commands import flags as run_flags
from leo_tf.errors import InputError
from leo_tf.files.reports import beside, versions, write_json
from leo_tf.runs.folder import RunFolder
from leo_tf.runs.load import load

_logger = logging.getLogger("leo_tf")
_FIXED_BY_TASKS = ("num_classes", "num_tr_examples_per_class", "queries", "num_tasks", "seed")


def define_flags(values=flags.FLAGS):
    """Define the flags of evaluate.py."""
    run_flags.define_override_flags(
        [
            *("data_path", "dataset_name", "embedding_crop", "cache_dir", "download", "num_classes"),
            *("num_tr_examples_per_class", "metatest_batch_size", "problem"),
        ],
        values,
    )
    text, number, texts = (
        functools.partial(define, flag_values=values)
        for define in (flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_list)
    )
    text("checkpoint_path", "runs/leo", "folder of the run")
    flags.DEFINE_enum(
        "split", "test", ["train", "val", "test"], "which meta-split to take tasks from", flag_values=values
    )
    number("num_tasks", 10_000, "number of tasks; of a regression run 1,000 unless given")
    number("queries", 0, "query examples of a class; 0: all remaining ones")
    number("seed", 0, "seed of the tasks; the same seed gives every model the same tasks")
    text("tasks", "", "evaluate on exactly the tasks of this file, see --write_tasks")
    text("write_tasks", "", "write the tasks to this npz file")
    texts("compare_to", [], "other runs' folders, or their evaluation-*.npz, to compare with in pairs")
    texts("seed_runs", [], "folders of this run repeated with other seeds: mean and standard deviation")
    texts(
        "analysis",
        [],
        "any of calibration, steps, grid (ways and shots): numbers and pictures; of a regression run: gaussian_process",
    )
    number("analysis_tasks", 1000, "number of tasks of an analysis, the first ones")
    texts("ways_grid", [], "ways of --analysis=grid; empty: 5, 10, 20")
    texts("shots_grid", [], "shots of --analysis=grid; empty: 1, 5; of a regression run: 1, 2, 3, 5, 10, 20")
    number("samples", 100, "functions sampled for each task; regression only")
    text("output", "", "where to write the JSON; empty: in the run's folder, evaluation-SPLIT.json and the like")


def run(values=flags.FLAGS):
    """Evaluate, write, compare, analyse, as the parsed flags say; return the exit status."""
    folder = RunFolder(values.checkpoint_path)
    problem = folder.config().episodes.problem
    if values["problem"].value not in (None, problem):
        raise InputError(
            f"{folder.path} is a {problem} run; --problem={values['problem'].value} was given. Leave it out."
        )
    config = run_flags.override(folder.config(), values)
    if problem == "regression":
        from leo_tf.commands import evaluate_regression

        return evaluate_regression.run(values, folder, config)
    if values["samples"].present:
        raise InputError(f"{folder.path} is a classification run, for which --samples has no meaning; leave it out.")
    ways, shots = (_numbers(name, values[name].value) for name in ("ways_grid", "shots_grid"))
    output = Path(values.output or folder.path / f"{report_name(values, folder.config(), config)}.json")
    if output.suffix == ".npz":
        raise InputError(f"Got --output={output}; the per-task results take that name. Expected a name in .json.")
    from leo_tf import evaluation
    from leo_tf.classification.problem import load_table
    from leo_tf.runs.results import require_other_seeds, result_of

    if values.analysis_tasks < 2:
        raise InputError(f"Got --analysis_tasks={values.analysis_tasks}; expected at least 2, for an interval.")
    evaluation.require_analyses(values.analysis)
    require_other_seeds(folder.path, values.seed_runs)
    _warn_of_seen_classes(values.split, folder.config(), config)
    model, batch_size = load(folder.path), config.training.metatest_batch_size
    table = load_table(config.data, values.split)
    tasks = _tasks(values, config.episodes, table)
    if values.write_tasks:
        tasks.save(values.write_tasks)

    result = evaluation.evaluate_tasks(model, table, tasks, batch_size)
    print(f"{config.data.dataset_name} {values.split}: {result}")
    about = {
        "checkpoint_path": str(folder.path),
        "step": folder.best_step(),
        "dataset_name": config.data.dataset_name,
        "embedding_crop": config.data.embedding_crop,
        "split": values.split,
        "train_on_val": folder.config().data.train_on_val,
        **({"tasks_file": values.tasks} if values.tasks else {}),
        "versions": versions(),
    }
    result.save(output.with_suffix(".npz"))
    write_json(output, {**about, **result.summary()})

    about |= {name: getattr(result, name) for name in ("data", "tasks", "model")}
    if values.compare_to:
        _compare(values.compare_to, result, lambda path: result_of(path, table, tasks, batch_size), output, about)
    if values.seed_runs:
        others = [result_of(path, table, tasks, batch_size) for path in values.seed_runs]
        over_seeds = evaluation.seed_summary([result, *others])
        print(f"over training seeds: {over_seeds.percent()}")
        write_json(beside(output, "seeds"), {**about, "seed_runs": values.seed_runs, **over_seeds._asdict()})
    if values.analysis:
        some = tasks.take(slice(values.analysis_tasks))
        request = evaluation.Request(model, table, some, batch_size, ways, shots, values.queries or None)
        _analyse(values.analysis, request, folder, output, about)
    return 0


def _compare(paths, result, result_of, output, about):
    from leo_tf.evaluation.comparison import compare

    comparisons = []
    for path in paths:
        comparison = compare(result, result_of(path))
        print(f"{about['checkpoint_path']} less {path}: {comparison}")
        comparisons.append({"to": path, **comparison.summary()})
    write_json(beside(output, "comparisons"), {**about, "comparisons": comparisons})


def _analyse(names, request, folder, output, about):
    from leo_tf.analysis.requests import analyse
    from leo_tf.evaluation import plots

    about |= {"tasks": request.tasks.digest, "num_tasks": len(request.tasks)}
    for name in names:
        found = analyse(name, request, f"{about['dataset_name']} {about['split']}, step {about['step']}")
        numbers = beside(output, name)
        print(f"{found.text}\nsee {numbers.with_suffix('.png')}")
        write_json(numbers, {**about, name: found.summary})
        events = folder.tensorboard / "evaluation"
        plots.save(found.figure, numbers.with_suffix(".png"), events, numbers.stem, about["step"])


def report_name(values, of_run, config):
    """Return the name, without ending, of an evaluation's files: what differs from the run's own tasks is in it.

    Args:
      values: parsed flags, or anything with attributes split, queries, seed and tasks.
      of_run: RunConfig of the run.
      config: the same with the command's overrides.
    """
    parts = ["evaluation", values.split]
    if config.data.dataset_name != of_run.data.dataset_name:
        parts.append(config.data.dataset_name)
    if config.data.embedding_crop != of_run.data.embedding_crop:
        parts.append(config.data.embedding_crop)
    if values.tasks:
        return "-".join([*parts, "tasks", Path(values.tasks).stem])
    if config.episodes != of_run.episodes:
        parts += [f"{config.episodes.num_classes}way", f"{config.episodes.num_tr_examples_per_class}shot"]
    if values.queries:
        parts.append(f"{values.queries}queries")
    if values.seed:
        parts.append(f"seed{values.seed}")
    return "-".join(parts)


def _tasks(values, episodes, table):
    from leo_tf.classification.tasks import Tasks, draw_tasks

    if values.tasks:
        given = [f"--{name}" for name in _FIXED_BY_TASKS if values[name].present]
        if given:
            raise InputError(f"--tasks={values.tasks} fixes the tasks; leave out {', '.join(given)}.")
        return Tasks.load(values.tasks, table)
    return draw_tasks(
        table,
        episodes.num_classes,
        episodes.num_tr_examples_per_class,
        values.queries or None,
        values.num_tasks,
        values.seed,
    )


def _warn_of_seen_classes(split, of_run, config):
    seen = {"train", "val"} if of_run.data.train_on_val else {"train"}
    if split in seen and config.data.dataset_name == of_run.data.dataset_name:
        _logger.warning("The run was trained on the classes of --split=%s; this is no test of new classes.", split)


def _numbers(name, texts):
    try:
        return [int(text) for text in texts]
    except ValueError:
        raise InputError(f"Got --{name}={','.join(texts)}; expected whole numbers, as in --{name}=1,5.") from None
