"""Reproduce the paper's tables: python -m leo_tf.reproduce"""

import shlex
import sys
from pathlib import Path
from typing import Any

from absl import flags

from leo_tf import execution
from leo_tf.commands.flags import define_section_flags, section_of, shipped_configs
from leo_tf.commands.help import command_line
from leo_tf.commands.logs import load_tensorflow
from leo_tf.commands.main import Command, run_command
from leo_tf.errors import InputError
from leo_tf.reproduce.plan import DEFAULT_ROWS, ROWS, SETTINGS, make_cells

_USAGE = "python -m leo_tf.reproduce"
_PAPER_SETTINGS = [f"{data}_{shots}_trainval" for data in ("mini", "tiered") for shots in ("1shot", "5shot")]
_QUICK_SETTINGS, _QUICK_STEPS, _QUICK_TASKS = ["glyphs_1shot", "glyphs_5shot"], 1000, 2000


def main() -> None:
    """Reproduce the paper's tables, as the command line says."""
    define_flags()
    about = (
        "Train and evaluate every row of the paper's tables in every setting, and write a report. Rerun the command "
        "to resume."
    )
    run_command(run, Command(about, _USAGE, f"{_USAGE} --quick"))


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags of the command."""
    where: dict[str, Any] = {"flag_values": values, "module_name": "Reproduce"}
    about = f"models, of {', '.join(ROWS)}; empty: those of the paper's table 2, MAML and logistic regression"
    flags.DEFINE_list("rows", [], about, **where)
    about = f"of {', '.join(SETTINGS)}; empty: the four of the paper's table 2, with _trainval"
    flags.DEFINE_list("settings", [], about, **where)
    flags.DEFINE_list("seeds", ["0"], "training seeds", **where)
    flags.DEFINE_bool("quick", False, "the whole table at small scale, on the built-in letterforms", **where)
    flags.DEFINE_string("output", "reproduction", "folder of the runs and the report", **where)
    flags.DEFINE_string("configs", "", "folder of the flagfiles; empty: those that come with leo_tf", **where)
    flags.DEFINE_string("data_path", "", "folder of the data sets; empty: as in the flagfiles", **where)
    about = "use this data set in all settings, with their hyperparameters"
    flags.DEFINE_string("dataset_name", "", about, **where)
    flags.DEFINE_integer("num_steps_limit", 0, "training steps; 0: as in the flagfiles", lower_bound=0, **where)
    flags.DEFINE_integer("num_tasks", 10_000, "test tasks", lower_bound=2, **where)
    define_section_flags([execution.ExecutionConfig], values)


def run(values: Any = flags.FLAGS) -> int:
    """Run the cells that the parsed flags ask for and write the report; return the exit status."""
    load_tensorflow()
    from leo_tf.reproduce.report import require_report, write_report

    config = section_of(execution.ExecutionConfig, values)
    output = Path(values.output).expanduser()
    try:
        seeds = [int(seed) for seed in values.seeds]
    except ValueError:
        raise InputError(f"Got seeds={','.join(values.seeds)}; expected whole numbers.", "seeds") from None
    cells = make_cells(
        values.rows or DEFAULT_ROWS,
        values.settings or (_QUICK_SETTINGS if values.quick else _PAPER_SETTINGS),
        seeds,
        output,
        Path(values.configs).expanduser() if values.configs else shipped_configs(),
        *_extra_flags(values),
    )
    require_report(output)
    with execution.make_executor(config) as executor:
        statuses = execution.run_jobs(cells, executor, "cell", measure="accuracy", text="{:.2%}".format)
    command = f"{command_line('reproduce', '-m leo_tf.reproduce')} {shlex.join(sys.argv[1:])}"
    report = write_report(output, cells, statuses, command)
    failed = sum(not status["ok"] for status in statuses.values())
    print(f"{len(cells) - failed} of {len(cells)} cells finished; see {report} and {report.with_suffix('.html')}.")
    return 1 if failed else 0


def _extra_flags(values: Any) -> tuple[list[str], list[str]]:
    """Return the flags that every training and every evaluation get."""
    train = [f"--{name}={getattr(values, name)}" for name in ("data_path", "dataset_name") if getattr(values, name)]
    if steps := values.num_steps_limit or (_QUICK_STEPS if values.quick else 0):
        train += [f"--num_steps_limit={steps}", f"--checkpoint_steps={max(1, min(1000, steps // 2))}"]
    num_tasks = min(values.num_tasks, _QUICK_TASKS) if values.quick else values.num_tasks
    return train, [f"--num_tasks={num_tasks}"]


if __name__ == "__main__":
    main()
