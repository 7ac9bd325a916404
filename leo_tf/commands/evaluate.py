"""The evaluate command: its flags, and the order of its work; the same for every problem."""

import functools

from absl import flags

from leo_tf.commands.flags import define_override_flags
from leo_tf.commands.workers import define_sharing_flags, run_shared
from leo_tf.errors import InputError
from leo_tf.runs.run_dir import RunDirectory


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
    define_sharing_flags(values)


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
        "baselines",
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

    Of many workers all evaluate, and the chief does the rest.
    """

    def refuse_early():
        folder = RunDirectory(values.checkpoint_path)
        given, trained = values["problem"].value, folder.config()
        if given not in (None, trained.problem):
            raise InputError(f"{folder.path} is a {trained.problem} run; --problem={given} was given. Leave it out.")

    def share(workers):
        from leo_tf.commands.evaluation_job import evaluated_by

        return evaluated_by(values, workers)

    def finish(found):
        from leo_tf.commands.report import report

        report(found, values)
        return 0

    return run_shared(values, refuse_early, share, finish)
