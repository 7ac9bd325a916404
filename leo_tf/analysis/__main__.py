"""Analyse a run: python -m leo_tf.analysis --checkpoint_path=RUN"""

import functools
import shlex
import sys
from typing import Any

from absl import flags

from leo_tf.commands.flags import define_override_flags, override
from leo_tf.commands.logs import load_tensorflow
from leo_tf.commands.main import Command, run_command
from leo_tf.errors import InputError
from leo_tf.files import expanded
from leo_tf.runs.run_dir import RunDirectory

_USAGE = "python -m leo_tf.analysis"
_MIN_TASKS = 10
_OF_CLASSIFICATION = (  # flags that apply to classification only
    *("data_path", "dataset_name", "embedding_crop", "num_classes", "num_tr_examples_per_class", "tasks_within"),
    "images",
)


def main() -> None:
    """Define the flags, analyse, write the report."""
    define_flags()
    about = "Analyse a run's best checkpoint: latent space, curvature, adaptation, failures. One page, PNG and JSON."
    example = f"{_USAGE} --checkpoint_path=runs/mini_1shot --compare_to=runs/generator,runs/metasgd"
    run_command(run, Command(about, _USAGE, example, again="starts from scratch; it writes its report at the end"))


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags."""
    where: dict[str, Any] = {"flag_values": values, "module_name": "Run"}
    flags.DEFINE_string("checkpoint_path", "runs/leo", "run directory, as given to train.py", **where)
    about = "directories of other runs to compare the curvature with, on the same tasks"
    flags.DEFINE_list("compare_to", [], about, **where)
    define_override_flags(
        ["data_path", "dataset_name", "embedding_crop", "cache_dir", "download", "num_classes",
         "num_tr_examples_per_class", "tasks_within", "metatest_batch_size"],
        values,
    )  # fmt: skip
    where["module_name"] = "Output"
    about = (
        "some of latent_space, curvature, adaptation, leave_one_out, failures, calibration, and of a regression run "
        "interpolation; empty: all that exist for the run"
    )
    flags.DEFINE_list("analyses", [], about, **where)
    flags.DEFINE_string("output", "", "directory of the report; empty: analysis in the run directory", **where)
    flags.DEFINE_string("highlight", "", "class to show alone in the latent space; empty: the first", **where)
    about = "directory of the images behind the embeddings, to show those that fail"
    flags.DEFINE_string("images", "", about, **where)
    where["module_name"] = "Tasks"
    about = "classes of the tasks; default val for the latent space, else test"
    flags.DEFINE_enum("split", None, ["train", "val", "test"], about, **where)
    flags.DEFINE_integer("num_tasks", 1000, "number of tasks", **where)
    flags.DEFINE_integer("seed", 0, "seed of the tasks and of t-SNE", **where)


def run(values: flags.FlagValues = flags.FLAGS) -> int:
    """Analyse and write the report as the parsed flags say; return the exit status. All checks come first."""
    folder = RunDirectory(values.checkpoint_path)
    trained = folder.config()
    if values.num_tasks < _MIN_TASKS:
        raise InputError(
            f"num_tasks={values.num_tasks} was given; expected at least {_MIN_TASKS}, and 1000 for intervals as narrow "
            "as the paper's.",
            "num_tasks",
        )
    given = [name for name in _OF_CLASSIFICATION if values[name].present]
    if given and trained.problem != "classification":
        raise InputError(
            f"{folder.path} is a {trained.problem} run, to which {', '.join(given)} does not apply; leave it out.",
            *given,
        )
    config, others = override(trained, values), [RunDirectory(path) for path in values.compare_to]
    for other in others:
        found = other.config().problem
        if found != trained.problem:
            raise InputError(
                f"compare_to={other.path} is a {found} run; expected a {trained.problem} run.", "compare_to"
            )
    load_tensorflow()
    from leo_tf import runs
    from leo_tf.analysis import registry
    from leo_tf.analysis.context import AnalysisContext, describe_tasks, model_name
    from leo_tf.analysis.report import require_report, write_report
    from leo_tf.problem import EvaluationRequest
    from leo_tf.runs.registry import problem_of

    output = expanded(values.output) if values.output else folder.path / "analysis"
    require_report(output)
    step = folder.best_step()
    for other in others:
        other.best_checkpoint()
    problem, learner = problem_of(config), runs.load(folder.path)

    @functools.cache
    def evaluation_of(split: str) -> Any:
        request = EvaluationRequest(split=split, num_tasks=values.num_tasks, seed=values.seed)
        return problem.evaluation_type(config, request, trained, folder.data())

    context = AnalysisContext(
        learner,
        evaluation_of,
        registry.unique_names({other.path: runs.load(other.path) for other in others}, learner),
        split=values.split or "",
        seed=values.seed,
        highlight=values.highlight,
        images=values.images,
    )
    names = registry.select(values.analyses, config, learner)
    registry.require_analysable(names, context)
    about = {
        "checkpoint_path": str(folder.path),
        "model": model_name(learner),
        "step": step,
        "seed": values.seed,
        "tasks": describe_tasks(config),
    }
    sections = registry.run_analyses(names, context)
    page = write_report(output, about, sections, f"{_USAGE} {shlex.join(sys.argv[1:])}")
    print(f"See {page}, and: tensorboard --logdir={output}")
    return 0


if __name__ == "__main__":
    main()
