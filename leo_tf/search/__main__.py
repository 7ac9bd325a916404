"""Search for hyperparameters: python -m leo_tf.search"""

import shlex
import sys
from typing import Any

from absl import flags

from leo_tf.commands.flags import define_run_flags, define_section_flags, run_config, section_of, shipped_configs
from leo_tf.commands.help import command_line
from leo_tf.commands.logs import load_tensorflow
from leo_tf.commands.main import Command, run_command
from leo_tf.errors import InputError, require_package
from leo_tf.execution import ExecutionConfig, make_executor

_USAGE = "python -m leo_tf.search"


def main() -> None:
    """Search for hyperparameters, as the command line says."""
    define_run_flags()
    define_flags()
    about = (
        "Search for hyperparameters. Trials are runs of train.py that differ in the settings of --space and the seed, "
        "compared by validation. Rerun the command to resume; several commands can share a study."
    )
    example = f"{_USAGE} --flagfile=configs/quickstart.cfg --space=configs/search/paper.toml --trials=40"
    run_command(run, Command(about, _USAGE, example))


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags that train.py does not have."""
    where: dict[str, Any] = {"flag_values": values, "module_name": "Search"}
    flags.DEFINE_string("study", "searches/leo", "folder of the study: trials, best.cfg, report", **where)
    about = "TOML file of the search space; empty: search/paper.toml of the configs that come with leo_tf"
    flags.DEFINE_string("space", "", about, **where)
    flags.DEFINE_integer("trials", 40, "trials of the whole study", lower_bound=1, **where)
    about = "random search, as in the paper, or Optuna's TPE"
    flags.DEFINE_enum("sampler", "random", ["random", "tpe"], about, **where)
    about = "asha stops trials whose validations are behind; none trains all to the end"
    flags.DEFINE_enum("pruner", "none", ["none", "asha"], about, **where)
    flags.DEFINE_string("objective", "", "accuracy; for regression, mse or crps; empty: the first of these", **where)
    flags.DEFINE_integer("study_seed", 0, "seed of the sampler and of all trainings", lower_bound=0, **where)
    about = "URL of a database for the study; empty: a file in its folder"
    flags.DEFINE_string("storage", "", about, **where)
    about = "train this many of the best trials again, with two fresh seeds each, to choose among them"
    flags.DEFINE_integer("rerun_top", 3, about, lower_bound=0, **where)
    about = "seeds to train the best and the base configuration with, for one evaluation on test tasks; empty: none"
    flags.DEFINE_list("final_seeds", [], about, **where)
    about = "test tasks of that evaluation (default: as in evaluate.py)"
    flags.DEFINE_integer("num_tasks", None, about, lower_bound=2, **where)
    where["module_name"] = "Run"
    flags.DEFINE_string("checkpoint_path", "", "unused, because the runs are in the study's folder", **where)
    define_section_flags([ExecutionConfig], values)


def run(values: Any = flags.FLAGS) -> int:
    """Search as the parsed flags say; return the exit status."""
    require_package("optuna", _USAGE)
    from leo_tf.files import expanded
    from leo_tf.search.plan import Plan, get_objective
    from leo_tf.search.report import require_report, write_best, write_report
    from leo_tf.search.selection import rerun_top, run_final_evaluation
    from leo_tf.search.space import read_space
    from leo_tf.search.study import Study
    from leo_tf.search.trials import run_trials

    seeds = _final_seeds(values)
    base, folder = run_config(values), expanded(values.study)
    objective = get_objective(base.problem, values.objective)
    space = read_space(values.space or shipped_configs() / "search" / "paper.toml", base)
    plan = Plan(base, space, objective, values.sampler, values.pruner, values.study_seed)
    execution = section_of(ExecutionConfig, values)
    require_report(folder)
    command = f"{command_line('search', '-m leo_tf.search')} {shlex.join(sys.argv[1:])}"
    with Study(folder, plan, values.storage) as study, make_executor(execution) as executor:
        run_trials(study, executor, values.trials)
        if not study.claim_selection():
            print(f"Other commands still run trials of {folder}; the last one to end selects the best.")
            return 0
        candidates = rerun_top(study, executor, values.rerun_top)
        best, final = candidates[0], None
        best_flagfile = write_best(study, best, command)
        if seeds:
            load_tensorflow()
            final = run_final_evaluation(study, best.settings, seeds, values.num_tasks, executor)
        report = write_report(study, candidates, final, command, execution.jobs)
        print(
            f"Best of {len(study.trials)} trials: {best.number}, validation {objective.name} "
            f"{objective.text(best.score)}. See {report} and {report.with_suffix('.html')}."
            f"\nNext: {command_line('train', 'train.py')} --flagfile={best_flagfile}"
            f"\nSee:  tensorboard --logdir={folder / 'trials'}"
        )
    return 0


def _final_seeds(values: Any) -> list[int]:
    try:
        seeds = [int(seed) for seed in values.final_seeds]
    except ValueError:
        seeds = [-1]
    if any(seed < 0 for seed in seeds) or len(set(seeds)) < len(seeds):
        expected = "different whole numbers, such as 0,1,2"
        raise InputError(f"Got final_seeds={','.join(values.final_seeds)}; expected {expected}.", "final_seeds")
    return seeds


if __name__ == "__main__":
    main()
