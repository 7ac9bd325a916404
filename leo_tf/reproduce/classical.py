"""Logistic regression on a setting's test tasks, as a cell: python -m leo_tf.reproduce.classical"""

import functools
import logging
import time
from pathlib import Path

from absl import flags

from leo_tf.commands import flags as run_flags
from leo_tf.commands.main import Command, run_command
from leo_tf.files import require_writable, write_json

_STRENGTHS, _VALIDATION_TASKS = (0.1, 1.0, 10.0, 100.0, 1000.0), 200
_logger = logging.getLogger("leo_tf")


def main():
    """Define the flags of train.py, and where to write what."""
    run_flags.define_run_flags()
    flags.DEFINE_string("checkpoint_path", "", "not used: nothing is trained")
    flags.DEFINE_string("output", "evaluation.json", "where to write the evaluation")
    flags.DEFINE_integer("num_tasks", 10_000, "test tasks")
    about = "Evaluate logistic regression, fitted to each task's support set alone, as reproduce does."
    usage = "python -m leo_tf.reproduce.classical"
    run_command(_evaluate, Command(about, usage, f"{usage} --dataset_name=glyphs"))


def _evaluate():
    values, config = flags.FLAGS, run_flags.run_config()
    output = Path(values.output)
    for path in (output, output.with_suffix(".npz")):
        require_writable(path)
    result, about = evaluate(config, values.num_tasks)
    result.save(output.with_suffix(".npz"))
    write_json(output, {**about, **result.summary()})
    print(f"{about['dataset_name']} test: {result}")
    return 0


def evaluate(config, num_tasks):
    """Evaluate logistic regression, as strong as is best on validation classes, on the test tasks of a setting.

    Args:
      config: RunConfig.
      num_tasks: test tasks.

    Returns:
      (EvaluationResult, dict of what else there is to say).

    Raises:
      InputError: the data cannot be read or have no such tasks, or scikit-learn is not installed.
    """
    from leo_tf.classification.results import EvaluationResult
    from leo_tf.classification.yardsticks import logistic_regression, nearest_class_mean

    _, score = _scorer(config, "val", _VALIDATION_TASKS)
    found = {C: float(score(functools.partial(logistic_regression, C=C)).accuracy.mean()) for C in _STRENGTHS}
    best = max(found, key=found.__getitem__)
    _logger.info("validation accuracy by C: %s", found)
    tasks, score = _scorer(config, "test", num_tasks)
    start = time.perf_counter()
    scores = score(functools.partial(logistic_regression, C=best))
    seconds = time.perf_counter() - start
    result = EvaluationResult(
        task_accuracy=scores.accuracy,
        task_loss=scores.loss,
        task_nearest_class_mean=score(lambda x, y: nearest_class_mean(x)).accuracy,
        ways=tasks.ways,
        shots=tasks.shots,
        queries=tasks.queries,
        seed=tasks.seed,
        stream=tasks.stream,
        data_digest=tasks.data_digest,
        tasks_digest=tasks.digest,
        model_fingerprint=f"logistic regression, C={best}",
        algorithm="logistic regression",
        seconds=seconds,
    )
    about = {"dataset_name": config.data.dataset_name, "step": None, "C": best, "validation_accuracy": found}
    return result, about


def _scorer(config, split, num_tasks):
    """Return (Tasks of a split, function: make_classifier -> Scores on them)."""
    from leo_tf.classification import Evaluator, draw_tasks
    from leo_tf.classification.evaluation import load_table
    from leo_tf.classification.evaluator import sampler_of

    table, episodes = load_table(config.data, split), config.episodes
    tasks = draw_tasks(table, episodes.num_classes, episodes.num_tr_examples_per_class, num_tasks=num_tasks)
    sampler = sampler_of(table, tasks)
    return tasks, lambda make_classifier: Evaluator(make_classifier, sampler, min(100, num_tasks)).run_on(tasks)


if __name__ == "__main__":
    main()
