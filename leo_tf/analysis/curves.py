"""How accuracy depends on the number of adaptation steps, and on the shape of the tasks."""

import dataclasses

from leo_tf.classification.analysis_target import ClassificationTarget
from leo_tf.classification.evaluation import evaluate_tasks
from leo_tf.classification.evaluator import require_fits
from leo_tf.classification.tasks import draw_tasks
from leo_tf.evaluation.intervals import Interval, confidence_interval

_WAYS, _SHOTS = (5, 10, 20), (1, 5)
_PAIRS_AT_ONCE = 125_000  # of support examples in the relation network: 200 tasks of 5 ways, 5 shots


@dataclasses.dataclass(frozen=True)
class StepsPoint:
    """The accuracy after some latent and then some fine-tuning steps."""

    latent_steps: int
    finetuning_steps: int
    accuracy: Interval
    loss: Interval
    gain: Interval  # accuracy less that with no steps at all, paired over the tasks
    entropy: Interval  # of the predictions, nats

    def summary(self):
        """Return a plain dict, for JSON."""
        return {k: v._asdict() if isinstance(v, Interval) else v for k, v in vars(self).items()}


def with_steps(model, latent_steps, finetuning_steps):
    """Return a model with the same weights that adapts in other numbers of steps; a baseline has no latent ones."""
    config = model.config_of_steps(latent_steps, finetuning_steps)
    other = type(model).from_config({**model.get_config(), "config": dataclasses.asdict(config)})
    other.set_weights(model.get_weights())
    return other


def default_grid(table, queries=None):
    """Return the ways and the shots, two lists, that a grid has unless told otherwise: as far as the table has them."""
    most = table.class_sizes.min() - (queries or 1)
    ways = [number for number in _WAYS if number <= table.num_classes] or [table.num_classes]
    return ways, [number for number in _SHOTS if number <= most] or [1]


def steps_curve(model, table, tasks, latent_steps=None, finetuning_steps=None):
    """Evaluate a model after every adaptation step, on the same tasks, in one pass.

    First 0, 1, ... latent steps without fine-tuning, then all latent steps and 1, 2, ... fine-tuning steps. The model
    was trained to be good after its own numbers of steps, and need not be before or after.

    Args:
      model, table, tasks: as in `evaluate_tasks`.
      latent_steps, finetuning_steps: how far to go; default the model's own numbers.

    Returns:
      List of StepsPoint.

    Raises:
      InputError: the table does not fit the model or the tasks.
    """
    latent = model.inner_steps[0] if latent_steps is None else latent_steps
    finetuning = model.inner_steps[1] if finetuning_steps is None else finetuning_steps
    if (latent, finetuning) != tuple(model.inner_steps):
        model = with_steps(model, latent, finetuning)
    scores = ClassificationTarget(model, table, tasks).scores()
    steps = [(n, 0) for n in range(latent + 1)] + [(latent, n) for n in range(1, finetuning + 1)]
    gains = scores["accuracy"] - scores["accuracy"][0]
    measured = zip(scores["accuracy"], scores["loss"], gains, scores["entropy"], strict=True)
    return [
        StepsPoint(*taken, *map(confidence_interval, values)) for taken, values in zip(steps, measured, strict=True)
    ]


def shape_grid(model, table, ways, shots, queries=None, num_tasks=1000, batch_size=200, seed=0):
    """Evaluate a model on tasks of every combination of ways and shots.

    Args:
      model: LEO.
      table: EmbeddingTable.
      ways, shots: lists of int.
      queries, num_tasks, seed: of each cell; as in `evaluate`.
      batch_size: at most so many tasks at once; fewer where support sets are large.

    Returns:
      List of EvaluationResult, by ways, then shots.

    Raises:
      InputError: a shape does not fit the table, which is found before anything is evaluated.
    """
    require_fits(model, table)
    cells = [draw_tasks(table, n, k, queries, num_tasks, seed) for n in sorted(set(ways)) for k in sorted(set(shots))]
    return [
        evaluate_tasks(model, table, tasks, max(1, min(batch_size, _PAIRS_AT_ONCE // (tasks.ways * tasks.shots) ** 2)))
        for tasks in cells
    ]
