"""Search for hyper-parameters: python -m leo_tf.search"""

import shlex
import sys

from absl import flags

from leo_tf.commands.flags import define_execution_flags, define_run_flags, execution_flags, run_config
from leo_tf.commands.logs import load_tensorflow
from leo_tf.commands.main import Command, run_command
from leo_tf.errors import InputError, require_package

_USAGE = "python -m leo_tf.search"


def main():
    """Define the flags, run the trials, choose, write best.cfg and the report."""
    define_run_flags()
    define_flags()
    about = (
        "Search for hyper-parameters: trials are runs of train.py that differ in the settings of --space and the seed, "
        "judged by validation. Stopped, the same command goes on; several commands share a study."
    )
    example = f"{_USAGE} --flagfile=configs/quickstart.cfg --space=configs/search/paper.toml --trials=40"
    run_command(run, Command(about, _USAGE, example))


def define_flags(values=flags.FLAGS):
    """Define the flags that train.py does not have."""
    where = {"flag_values": values, "module_name": "Search"}
    flags.DEFINE_string("study", "searches/leo", "folder of the study: trials, best.cfg, report", **where)
    flags.DEFINE_string("space", "configs/search/paper.toml", "TOML file of what is searched", **where)
    flags.DEFINE_integer("trials", 40, "trials of the whole study", **where)
    flags.DEFINE_enum(
        "sampler", "random", ["random", "tpe"], "random search, as in the paper, or Optuna's TPE", **where
    )
    about = "asha stops trials whose validations are behind; none trains all to the end"
    flags.DEFINE_enum("pruner", "none", ["none", "asha"], about, **where)
    flags.DEFINE_string("objective", "", "accuracy; of a regression, mse or crps; empty: the first", **where)
    flags.DEFINE_integer("study_seed", 0, "seed of the settings drawn and of every trial's training", **where)
    flags.DEFINE_string("storage", "", "URL of a database for the study; empty: a file in its folder", **where)
    flags.DEFINE_integer("rerun_top", 3, "trials trained again with two fresh seeds each to choose among", **where)
    about = "seeds to train the choice and the start with, for one evaluation on test tasks; empty: none"
    flags.DEFINE_list("final_seeds", [], about, **where)
    flags.DEFINE_integer("num_tasks", None, "test tasks of that evaluation; default as of evaluate.py", **where)
    where["module_name"] = "Run"
    flags.DEFINE_string("checkpoint_path", "", "not used: the runs are in the study's folder", **where)
    define_execution_flags(values)


def run(values=flags.FLAGS):
    """Search as the parsed flags say; return the exit status."""
    require_package("optuna", "python -m leo_tf.search")
    from leo_tf.execution import Execution, executor_of
    from leo_tf.files import expanded
    from leo_tf.search.final_evaluation import evaluate_finally
    from leo_tf.search.objective import objective_of
    from leo_tf.search.plan import Plan
    from leo_tf.search.report import require_report, write_best, write_report
    from leo_tf.search.rerun_top import rerun_top
    from leo_tf.search.space import read_space
    from leo_tf.search.study import Study
    from leo_tf.search.trials import run_trials

    seeds = _checked(values)
    start, folder = run_config(values), expanded(values.study)
    objective = objective_of(start.problem, values.objective)
    space = read_space(values.space, start)
    plan = Plan(start, space, objective, values.sampler, values.pruner, values.study_seed)
    execution = Execution(**execution_flags(values))
    require_report(folder)
    command = f"{_USAGE} {shlex.join(sys.argv[1:])}"
    with Study(folder, plan, values.storage) as study, executor_of(execution) as executor:
        run_trials(study, executor, values.trials)
        if not study.closes():
            print(f"Other commands still run trials of {folder}; the last of them chooses.")
            return 0
        repeated = rerun_top(study, executor, values.rerun_top)
        best = write_best(study, repeated, command)
        final = None
        if seeds:
            load_tensorflow()
            final = evaluate_finally(study, repeated[0].values, seeds, values.num_tasks, executor)
        report = write_report(study, repeated, final, command, execution.jobs)
        print(
            f"Trial {repeated[0].number} of {len(study.trials)}: validation {objective.name} "
            f"{objective.text(repeated[0].judged)}. See {report} and {report.with_suffix('.html')}."
            f"\nNext: python train.py --flagfile={best}\nSee:  tensorboard --logdir={folder / 'trials'}"
        )
    return 0


def _checked(values):
    """Return the final seeds; raise InputError for numbers that mean nothing."""
    if values.trials < 1 or values.rerun_top < 0 or values.study_seed < 0:
        raise InputError(
            f"trials={values.trials} rerun_top={values.rerun_top} study_seed={values.study_seed} was given; "
            "expected at least 1 trial, and not less than 0 of the others."
        )
    if values.num_tasks is not None and values.num_tasks < 2:
        raise InputError(f"num_tasks={values.num_tasks} was given; expected at least 2, for an interval.")
    try:
        seeds = [int(seed) for seed in values.final_seeds]
    except ValueError:
        seeds = [-1]
    if any(seed < 0 for seed in seeds) or len(set(seeds)) < len(seeds):
        raise InputError(
            f"Got final_seeds={','.join(values.final_seeds)}; expected different whole numbers, as in 0,1,2."
        )
    return seeds


if __name__ == "__main__":
    main()
