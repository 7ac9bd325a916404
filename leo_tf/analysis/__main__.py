"""Analyse a run: python -m leo_tf.analysis --checkpoint_path=RUN"""

import functools
import logging
import shlex
import sys

from absl import flags

from leo_tf.commands.flags import define_override_flags, override
from leo_tf.commands.logs import load_tensorflow
from leo_tf.commands.main import Command, run_command
from leo_tf.errors import InputError
from leo_tf.files import expanded
from leo_tf.runs.run_dir import RunDirectory

_USAGE = "python -m leo_tf.analysis"
_LEAST_TASKS = 10
_logger = logging.getLogger("leo_tf")


def main():
    """Define the flags, analyse, write the report."""
    define_flags()
    about = "See what a run's best model does: its latent space, curvature, steps, mistakes. One page, PNG and JSON."
    example = f"{_USAGE} --checkpoint_path=runs/mini_1shot --compare_to=runs/generator,runs/metasgd"
    run_command(run, Command(about, _USAGE, example, again="starts anew; it writes its report at the end"))


def define_flags(values=flags.FLAGS):
    """Define the flags."""

    def define(kind, group):
        return functools.partial(kind, flag_values=values, module_name=group)

    text = define(flags.DEFINE_string, "Run")
    text("checkpoint_path", "runs/leo", "the run's folder, as given to train.py")
    define(flags.DEFINE_list, "Run")("compare_to", [], "other runs' folders, for curvature on the same tasks")
    define_override_flags(
        ["data_path", "dataset_name", "embedding_crop", "cache_dir", "download", "num_classes",
         "num_tr_examples_per_class", "tasks_within", "metatest_batch_size"],
        values,
    )  # fmt: skip
    define(flags.DEFINE_list, "Output")(
        "what",
        [],
        "some of latent_space, curvature, adaptation, leave_one_out, failures, calibration, grid, and of a regression "
        "run interpolation; empty: all that can be analysed",
    )
    text = define(flags.DEFINE_string, "Output")
    text("output", "", "folder of the report; empty: analysis in the run's folder")
    text("highlight", "", "class that the latent space shows alone; empty: the first")
    text("images", "", "folder of the images that the embeddings are of, to see what fails")
    define(flags.DEFINE_enum, "Tasks")(
        "split", None, ["train", "val", "test"], "whose classes; default val for the latent space, test for the rest"
    )
    number = define(flags.DEFINE_integer, "Tasks")
    number("num_tasks", 1000, "number of tasks")
    number("seed", 0, "seed of the tasks and of t-SNE")


def run(values=flags.FLAGS):
    """Analyse and write, as the parsed flags say; return the exit status. What can be known to be wrong comes first."""
    folder = RunDirectory(values.checkpoint_path)
    trained = folder.config()
    if values.num_tasks < _LEAST_TASKS:
        raise InputError(
            f"Got num_tasks={values.num_tasks}; expected at least {_LEAST_TASKS} to analyse, and 1000 for intervals as "
            "narrow as the paper's."
        )
    config, others = override(trained, values), [RunDirectory(path) for path in values.compare_to]
    for other in others:
        _require_same_problem(other, folder)
    load_tensorflow()
    from leo_tf import runs
    from leo_tf.analysis import catalogue
    from leo_tf.analysis.analysed import Analysed, tasks_in_words
    from leo_tf.analysis.report import require_report, write_report
    from leo_tf.analysis.validation import require_analysable
    from leo_tf.problem import EvaluationRequest
    from leo_tf.runs.registry import flags_of_other_problems, problem_of

    foreign = [
        f"--{name}" for name in flags_of_other_problems(config.problem) if name in values and values[name].present
    ]
    if foreign:
        raise InputError(
            f"{folder.path} is a {config.problem} run, for which {', '.join(foreign)} has no meaning; leave it out."
        )
    output = expanded(values.output) if values.output else folder.path / "analysis"
    require_report(output)
    step = folder.best_step()
    for other in others:
        other.best_checkpoint()
    problem, learner = problem_of(config), runs.load(folder.path)

    def evaluation_of(split):
        request = EvaluationRequest(split=split, num_tasks=values.num_tasks, seed=values.seed)
        return problem.evaluation_type(config, request, trained, folder.data())

    analysed = Analysed(
        learner,
        evaluation_of,
        catalogue.named({other.path: runs.load(other.path) for other in others}, learner),
        split=values.split or "",
        seed=values.seed,
        highlight=values.highlight,
        images=values.images,
    )
    names = catalogue.chosen(values.what, config, learner)
    require_analysable(names, analysed)
    sections = catalogue.analyse(names, analysed, output)
    about = {
        "checkpoint_path": str(folder.path),
        "model": analysed.name,
        "step": step,
        "seed": values.seed,
        "tasks": tasks_in_words(config),
    }
    page = write_report(output, about, sections, f"{_USAGE} {shlex.join(sys.argv[1:])}")
    print(f"See {page}, and: tensorboard --logdir={output}")
    return 0


def _require_same_problem(other, folder):
    """Raise InputError unless two RunFolders are of runs of one problem; say it where their data differ."""
    found, expected = other.config().problem, folder.config().problem
    if found != expected:
        raise InputError(f"Got compare_to={other.path}, a {found} run; expected a {expected} run.")
    data, others = folder.data(), other.data()
    if any(data[key] != others[key] for key in data.keys() & others.keys()):
        _logger.warning(
            "%s was trained on other data than %s; where they differ, it may be the data.", other.path, folder.path
        )


if __name__ == "__main__":
    main()
