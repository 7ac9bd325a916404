"""What to say when a trained model is worse than nearest class mean."""

from typing import NamedTuple

_FEW_CLASSES, _FEW_STEPS = 30, 1000


class Circumstances(NamedTuple):
    """What is known of a model that was evaluated; None where it is not known."""

    train_classes: int | None  # that it was trained on
    trained_shots: int
    shots: int  # of the evaluation
    trained_ways: int
    ways: int
    best_step: int
    last_step: int | None


def below_nearest_mean(algorithm, accuracy, nearest, circumstances):
    """Return one line that says so with the likely reasons, or an empty text where the accuracy is not below.

    Args:
      algorithm: the model's name.
      accuracy, nearest: mean accuracies on the same tasks.
      circumstances: Circumstances.
    """
    if not accuracy < nearest:
        return ""
    return (
        f"{algorithm}'s accuracy, {100 * accuracy:.2f} %, is below nearest class mean's, {100 * nearest:.2f} %, on the "
        f"same tasks. {' '.join(_reasons(circumstances))}"
    )


def _reasons(known):
    found = []
    if known.train_classes is not None and known.train_classes < _FEW_CLASSES:
        found.append(f"Few classes to learn from ({known.train_classes}): more of them help most.")
    if known.shots != known.trained_shots:
        found.append(f"Trained with {known.trained_shots} shots, judged with {known.shots}: train with as many.")
    if known.ways != known.trained_ways:
        found.append(f"Trained with {known.trained_ways} ways, judged with {known.ways}.")
    last = known.best_step if known.last_step is None else known.last_step
    if last < _FEW_STEPS:
        found.append(f"Perhaps too short: {last} steps so far.")
    elif known.best_step < last:
        found.append(
            f"Perhaps over-trained: the best validation was at step {known.best_step}, not {last}; try a "
            "larger dropout_rate or kl_weight, or patience."
        )
    return found or [
        "Perhaps the hyper-parameters, made for other data: try other values of dropout_rate, kl_weight and outer_lr."
    ]
