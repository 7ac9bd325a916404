"""Logistic regression on a setting's test tasks, as a cell: python -m leo_tf.reproduce.classical"""

import functools
import logging
import time
from pathlib import Path

from absl import flags

from leo_tf.commands import flags as run_flags
from leo_tf.commands.main import run_command
from leo_tf.files import require_writable, write_json

_STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
_logger = logging.getLogger("leo_tf")


def main():
    """Define the flags of train.py, and where to write what."""
    run_flags.define_run_flags()
    flags.DEFINE_string("checkpoint_path", "", "not used: nothing is trained")
    flags.DEFINE_string("output", "evaluation.json", "where to write the evaluation")
    flags.DEFINE_integer("num_tasks", 10_000, "test tasks")
    run_command(_evaluate)


def _evaluate():
    from leo_tf.classification.evaluation import load_table
    from leo_tf.classification.evaluator import Evaluator, sampler_of
    from leo_tf.classification.results import EvaluationResult
    from leo_tf.classification.tasks import draw_tasks
    from leo_tf.classification.yardsticks import logistic_regression, nearest_class_mean

    values, config = flags.FLAGS, run_flags.run_config()
    require_writable(values.output)
    ways, shots = config.episodes.num_classes, config.episodes.num_tr_examples_per_class

    def score(split, num_tasks, make_classifier):
        table = load_table(config.data, split)
        tasks = draw_tasks(table, ways, shots, None, num_tasks, 0)
        return tasks, Evaluator(make_classifier, sampler_of(table, tasks), min(100, num_tasks)).run_on(tasks)

    # How strongly to regularise is the one thing to choose, and chosen on validation classes.
    found = {}
    for strength in _STRENGTHS:
        _, scores = score("val", 200, functools.partial(logistic_regression, C=strength))
        found[strength] = float(scores.accuracy.mean())
    best = max(found, key=found.__getitem__)
    _logger.info("validation accuracy by C: %s", found)
    start = time.perf_counter()
    tasks, scores = score("test", values.num_tasks, functools.partial(logistic_regression, C=best))
    seconds = time.perf_counter() - start
    _, nearest = score("test", values.num_tasks, lambda x, y: nearest_class_mean(x))
    result = EvaluationResult(
        task_accuracy=scores.accuracy,
        task_loss=scores.loss,
        task_nearest_class_mean=nearest.accuracy,
        ways=ways,
        shots=shots,
        queries=tasks.queries,
        seed=tasks.seed,
        stream=tasks.stream,
        data_digest=tasks.data_digest,
        tasks_digest=tasks.digest,
        model_fingerprint=f"logistic regression, C={best}",
        algorithm="logistic regression",
        seconds=seconds,
    )
    output = Path(values.output)
    result.save(output.with_suffix(".npz"))
    about = {"dataset_name": config.data.dataset_name, "step": None, "C": best, "validation_accuracy": found}
    write_json(output, {**about, **result.summary()})
    print(f"{config.data.dataset_name} test: {result}")
    return 0


if __name__ == "__main__":
    main()
