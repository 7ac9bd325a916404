"""Reproduce the paper's tables: python -m leo_tf.reproduce"""

import shlex
import sys
from pathlib import Path

from absl import flags

from leo_tf.commands.flags import define_execution_flags, execution_flags
from leo_tf.commands.logs import load_tensorflow
from leo_tf.commands.main import Command, run_command
from leo_tf.errors import InputError

_DEFAULT_ROWS = (
    "logistic_regression",
    "maml",
    "metasgd",
    "generator_only",
    "generator_finetuning",
    "random_prior",
    "deterministic",
    "no_finetuning",
    "leo",
)


def main():
    """Define the flags, run the cells, write the report."""
    from leo_tf.reproduce.plan import ROWS, SETTINGS

    flags.DEFINE_list(
        "rows", [], f"models, of {', '.join(ROWS)}; empty: all of the paper's table 2, MAML and logistic regression"
    )
    flags.DEFINE_list("settings", [], f"of {', '.join(SETTINGS)}; empty: the four of the paper's table 2, _trainval")
    flags.DEFINE_list("seeds", ["0"], "training seeds")
    flags.DEFINE_bool("quick", False, "the whole table at small scale, on the built-in letterforms")
    flags.DEFINE_string("output", "reproduction", "folder for cells and report")
    flags.DEFINE_string("configs", "configs", "folder of the flagfiles")
    flags.DEFINE_string("data_path", "", "folder of the data sets; empty: as in the flagfiles")
    flags.DEFINE_string("dataset_name", "", "other data for all settings; their hyper-parameters stay")
    flags.DEFINE_integer("num_steps_limit", 0, "training steps; 0: as in the flagfiles")
    flags.DEFINE_integer("num_tasks", 10_000, "test tasks")
    define_execution_flags()
    about = "Train and evaluate every row of the paper's tables in every setting; write a report. Stopped, it goes on."
    run_command(run, Command(about, "python -m leo_tf.reproduce", "python -m leo_tf.reproduce --quick"))


def run(values=flags.FLAGS):
    """Run the cells that the parsed flags ask for and write the report; return the exit status."""
    load_tensorflow()
    from leo_tf.execution import Execution, executor_of, run_jobs
    from leo_tf.reproduce.plan import cells
    from leo_tf.reproduce.report import require_report, write_report

    execution = Execution(**execution_flags(values))
    if values.num_tasks < 2 or values.num_steps_limit < 0:
        raise InputError(
            f"--num_tasks={values.num_tasks} --num_steps_limit={values.num_steps_limit}; expected at least 2 tasks, "
            "for an interval, and 0 steps."
        )
    try:
        seeds = [int(seed) for seed in values.seeds]
    except ValueError:
        raise InputError(f"Got --seeds={','.join(values.seeds)}; expected whole numbers.") from None
    steps = values.num_steps_limit or (1000 if values.quick else 0)
    train = [f"--{name}={getattr(values, name)}" for name in ("data_path", "dataset_name") if getattr(values, name)]
    if steps:
        train += [f"--num_steps_limit={steps}", f"--checkpoint_steps={max(1, min(1000, steps // 2))}"]
    evaluate = [f"--num_tasks={min(values.num_tasks, 2000) if values.quick else values.num_tasks}"]
    paper = [f"{data}_{shots}_trainval" for data in ("mini", "tiered") for shots in ("1shot", "5shot")]
    output = Path(values.output).expanduser()
    planned = cells(
        values.rows or _DEFAULT_ROWS,
        values.settings or (["glyphs_1shot", "glyphs_5shot"] if values.quick else paper),
        seeds,
        output,
        values.configs,
        train,
        evaluate,
    )
    require_report(output)
    with executor_of(execution) as executor:
        statuses = run_jobs([cell.job for cell in planned], executor, "cell", measure="accuracy", text="{:.2%}".format)
    report = write_report(output, planned, statuses, f"python -m leo_tf.reproduce {shlex.join(sys.argv[1:])}")
    failed = sum(not status["ok"] for status in statuses.values())
    print(f"{len(planned) - failed} of {len(planned)} cells finished; see {report} and {report.with_suffix('.html')}.")
    return 1 if failed else 0


if __name__ == "__main__":
    main()
