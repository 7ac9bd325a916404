"""The evaluate command: its flags and the order of its work, which is the same for every problem."""

from typing import Any

from absl import flags

from leo_tf.commands.flags import define_override_flags
from leo_tf.commands.workers import define_sharing_flags, run_shared
from leo_tf.errors import InputError
from leo_tf.runs.run_dir import RunDirectory


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags of evaluate.py."""
    where: dict[str, Any] = {"flag_values": values, "module_name": "Run"}
    flags.DEFINE_string("checkpoint_path", "runs/leo", "run directory, as given to train.py", **where)
    define_override_flags(
        [
            *("data_path", "dataset_name", "embedding_crop", "cache_dir", "download", "num_classes"),
            *("num_tr_examples_per_class", "tasks_within", "metatest_batch_size", "problem", "jit"),
        ],
        values,
    )
    where["module_name"] = "Tasks"
    about = "classes of the tasks: those held out for testing, or those of training or validation"
    flags.DEFINE_enum("split", "test", ["train", "val", "test"], about, **where)
    about = "number of tasks (default: 10,000; of each shape of a grid, and for regression, 1,000)"
    flags.DEFINE_integer("num_tasks", None, about, **where)
    flags.DEFINE_integer("queries", 0, "query examples per class; 0 takes all remaining ones", **where)
    about = "seed of the tasks; every model gets the same tasks from the same seed"
    flags.DEFINE_integer("seed", 0, about, **where)
    about = "evaluate on exactly the tasks of this file, written by --write_tasks"
    flags.DEFINE_string("tasks", "", about, **where)
    about = "evaluate on tasks of 5 and 15 ways and of 1 to 50 shots, and of unequal shots, beside the best baseline"
    flags.DEFINE_bool("grid", False, about, **where)
    about = (
        "more baselines: all, or some of logistic_regression, ridge, lda, plda; for regression gaussian_process; "
        "a grid has all of them by default"
    )
    flags.DEFINE_list("baselines", [], about, **where)
    where["module_name"] = "Regression"
    flags.DEFINE_integer("samples", 100, "functions sampled per task", **where)
    flags.DEFINE_list("shots_grid", [], "numbers of shots to evaluate at; empty: 1, 2, 3, 5, 10, 20", **where)
    where["module_name"] = "Output"
    about = "compare in pairs with other runs: their directories, or their evaluation-*.npz"
    flags.DEFINE_list("compare_to", [], about, **where)
    about = "directories of runs that differ only in the seed; reports mean and standard deviation over all seeds"
    flags.DEFINE_list("seed_runs", [], about, **where)
    about = "fit calibration temperatures on validation tasks; store them in the run for exports and FewShotClassifier"
    flags.DEFINE_bool("calibrate", False, about, **where)
    flags.DEFINE_string("write_tasks", "", "write the tasks to this npz file, for --tasks", **where)
    about = "JSON file of the result; empty: evaluation-SPLIT-....json in the run directory"
    flags.DEFINE_string("output", "", about, **where)
    define_sharing_flags(values)


def run(values: flags.FlagValues = flags.FLAGS) -> int:
    """Evaluate on all workers, then compare and write as the parsed flags say; return the exit status."""

    def refuse_early() -> None:
        folder = RunDirectory(values.checkpoint_path)
        given, trained = values["problem"].value, folder.config()
        if given not in (None, trained.problem):
            raise InputError(
                f"{folder.path} is a {trained.problem} run; problem={given} was given. Leave it out.", "problem"
            )

    def share(workers: Any) -> Any:
        from leo_tf.commands.evaluation_job import evaluate_run

        return evaluate_run(values, workers)

    def finish(job: Any) -> int:
        from leo_tf.commands.report import report

        report(job, values)
        return 0

    return run_shared(values, refuse_early, share, finish)
