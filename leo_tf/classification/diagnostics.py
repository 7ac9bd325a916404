"""Advice on a trained model that is worse than a baseline."""

from collections.abc import Mapping
from typing import NamedTuple

from leo_tf.config import EpisodeConfig

_FEW_CLASSES, _FEW_STEPS = 30, 1000


class Circumstances(NamedTuple):
    """Facts about an evaluated model; None if unknown."""

    train_classes: int | None  # number of meta-training classes
    trained: EpisodeConfig  # the run's tasks
    shots: int  # of the evaluation
    ways: int
    best_step: int
    last_step: int | None


def below_baselines(
    algorithm: str, accuracy: float, baselines: Mapping[str, float], circumstances: Circumstances
) -> str:
    """Return one line with the best baseline above a model and likely reasons; empty if no baseline is above."""
    best = best_above(accuracy, baselines)
    if best is None:
        return ""
    above = sum(accuracy < value for value in baselines.values())
    others = f" ({above} of {len(baselines)} baselines are better)" if len(baselines) > 1 else ""
    return (
        f"{algorithm}'s accuracy, {100 * accuracy:.2f} %, is below {possessive(best)}, {100 * baselines[best]:.2f} %, "
        f"on the same tasks{others}. {' '.join(_reasons(circumstances))}"
    )


def best_above(accuracy: float, baselines: Mapping[str, float]) -> str | None:
    """Return the name of the best baseline of {name: mean accuracy} if its accuracy is above, else None."""
    best = max(baselines, key=baselines.__getitem__, default=None)
    return best if best is not None and accuracy < baselines[best] else None


def possessive(name: str) -> str:
    """Return "nearest class mean's (whitened)" for "nearest class mean, whitened"."""
    first, _, rest = name.partition(", ")
    return f"{first}'s ({rest})" if rest else f"{first}'s"


def _reasons(known: Circumstances) -> list[str]:
    found = []
    if known.train_classes is not None and known.train_classes < _FEW_CLASSES:
        found.append(f"There are few classes to learn from ({known.train_classes}); more would help most.")
    shots, ways = known.trained.num_tr_examples_per_class, known.trained.num_classes
    if known.shots != shots and not known.trained.metatrain_shots:
        found.append(
            f"It was trained on {shots}-shot tasks and evaluated on {known.shots}-shot tasks; train it on "
            f"{known.shots}-shot tasks."
        )
    if known.ways != ways and not known.trained.metatrain_ways:
        found.append(f"It was trained on {ways}-way tasks and evaluated on {known.ways}-way tasks.")
    last = known.best_step if known.last_step is None else known.last_step
    if last < _FEW_STEPS:
        found.append(f"Training may be too short: {last} steps so far.")
    elif known.best_step < last:
        found.append(
            f"It may be over-trained: the best validation was at step {known.best_step} of {last}; try a larger "
            "dropout_rate or kl_weight, or patience."
        )
    return found or [
        "The hyperparameters may not suit these data: try other values of dropout_rate, kl_weight and outer_lr."
    ]
