"""Advice on a trained model that is worse than a baseline."""

from collections.abc import Mapping
from typing import NamedTuple

from leo_tf.config import EpisodeConfig
from leo_tf.evaluation.intervals import Interval

_FEW_CLASSES, _FEW_STEPS = 30, 1000
_RECOMMENDED = "proto_leo"


class Circumstances(NamedTuple):
    """Facts about an evaluated model; None if unknown."""

    algorithm: str  # as the run's setting names it
    train_classes: int | None  # number of meta-training classes
    trained: EpisodeConfig  # the run's tasks
    shots: int  # of the evaluation
    ways: int
    best_step: int
    last_step: int | None


def below_baseline(name: str, baseline: str, difference: Interval, circumstances: Circumstances) -> str:
    """Return one line of advice on a model below its best baseline; empty unless it is below beyond the interval.

    difference: the model's accuracy less the baseline's, on the same tasks.
    """
    mean, half_width = difference
    if not mean + half_width < 0:
        return ""
    line = (
        f"{name} is {-100 * mean:.2f} +- {100 * half_width:.2f} points below {baseline}, the best baseline on the "
        "same tasks."
    )
    return " ".join([line, *_reasons(circumstances)])


def best_above(accuracy: float, baselines: Mapping[str, float]) -> str | None:
    """Return the name of the best baseline of {name: mean accuracy} if its accuracy is above, else None."""
    best = max(baselines, key=baselines.__getitem__, default=None)
    return best if best is not None and accuracy < baselines[best] else None


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
    if known.algorithm == _RECOMMENDED:
        return found
    if last < _FEW_STEPS:
        found.append(f"Training may be too short: {last} steps so far.")
    elif known.best_step < last:
        found.append(f"It may be over-trained: the best validation was at step {known.best_step} of {last}.")
    return [*found, "ProtoLEO is more accurate on most data: train it with --flagfile=configs/proto_leo.cfg."]
