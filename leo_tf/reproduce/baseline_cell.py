"""A baseline on a setting's test tasks, as a cell: python -m leo_tf.reproduce.baseline_cell"""

from pathlib import Path
from typing import Any

from absl import flags

from leo_tf.commands import flags as run_flags
from leo_tf.commands.main import Command, run_command
from leo_tf.config import RunConfig
from leo_tf.files import require_writable, write_json
from leo_tf.reproduce.plan import BASELINES

_WHITENED, _PLDA = "_whitened", "_plda"
_BATCH_SIZE = 200


def main() -> None:
    """Define the flags of train.py and those of the evaluation."""
    run_flags.define_run_flags()
    flags.DEFINE_string("checkpoint_path", "", "unused, because nothing is trained")
    flags.DEFINE_string("output", "evaluation.json", "where to write the evaluation")
    flags.DEFINE_integer("num_tasks", 10_000, "test tasks")
    flags.DEFINE_enum("baseline", "logistic_regression", list(BASELINES), "classifier to evaluate")
    about = "Evaluate a classifier that is fitted to each task's support set alone, as reproduce does."
    usage = "python -m leo_tf.reproduce.baseline_cell"
    run_command(_run, Command(about, usage, f"{usage} --dataset_name=glyphs"))


def _run() -> int:
    values, config = flags.FLAGS, run_flags.run_config()
    output = Path(values.output)
    for path in (output, output.with_suffix(".npz")):
        require_writable(path)
    result, report = evaluate(config, values.num_tasks, values.baseline)
    result.save(output.with_suffix(".npz"))
    write_json(output, {**report, **result.summary()})
    print(f"{report['dataset_name']} test: {result}")
    return 0


def evaluate(config: RunConfig, num_tasks: int, name: str) -> tuple[Any, dict[str, Any]]:
    """Evaluate a baseline on test tasks, with the hyperparameter that is best on tasks of validation classes.

    Returns the EvaluationResult and further contents of the evaluation's JSON.
    """
    from leo_tf.classification import draw_tasks
    from leo_tf.classification.baselines import FITTED, NEAREST_MEANS, RAW, Scoring, lda_of, plda_space, whitened_by
    from leo_tf.classification.evaluation import load_table
    from leo_tf.classification.results import EvaluationResult

    episodes, table = config.episodes, load_table(config.data, "test")
    tasks = draw_tasks(table, episodes.num_classes, episodes.num_tr_examples_per_class, num_tasks=num_tasks)
    scoring = Scoring(table, tasks, _BATCH_SIZE, lambda: load_table(config.data, "val"))
    kind, space = name.removesuffix(_WHITENED).removesuffix(_PLDA), RAW
    if name.endswith(_WHITENED):
        space = whitened_by(load_table(config.data, "train"))
    elif name.endswith(_PLDA):
        _, space = plda_space(load_table(config.data, "train"), *scoring.validation)
    baseline = lda_of(load_table(config.data, "train")) if kind == "lda" else {**NEAREST_MEANS, **FITTED}[kind]
    found = scoring.measure(baseline, space)
    others = [scoring.measure(nearest, RAW) for nearest in NEAREST_MEANS.values()]
    chosen = f", {found.hyperparameter}={found.choice.value:g}" if found.choice else ""
    result = EvaluationResult.from_scores(
        *(found, others, tasks),
        model_fingerprint=f"{found.title}{chosen}",
        algorithm=found.title,
        seconds=found.seconds,
    )
    return result, {"dataset_name": config.data.dataset_name, "step": None, **found.summary()}


if __name__ == "__main__":
    main()
