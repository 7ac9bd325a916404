"""A split by class: whole classes, or whole groups of classes, go to train, val and test."""

from collections.abc import Iterable, Sequence

import numpy as np

from leo_tf.data.layout import SPLITS
from leo_tf.errors import InputError


def parse_fractions(text: str) -> list[float]:
    """Parse the shares of train, val and test, as "0.64,0.16,0.2"."""
    try:
        fractions = [float(part) for part in text.split(",")]
    except ValueError:
        fractions = []
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            f"split_fractions={text} was given; expected the shares of train, val and test, as 0.64,0.16,0.2, which "
            "sum to 1.",
            "split_fractions",
        )
    return fractions


def split_classes(names: Iterable[str], fractions: Sequence[float], seed: int) -> dict[str, str]:
    """Assign every class to a split, {class name: split}; classes of one group, `group/class`, stay together.

    Every share of train, val and test that is above 0 gets at least one class or group.
    """
    units = {name: name.rpartition("/")[0] or name for name in names}
    unique = sorted(set(units.values()))
    wanted = [split for split, share in zip(SPLITS, fractions, strict=True) if share > 0]
    if len(unique) < len(wanted):
        raise InputError(
            f"{len(unique)} class{'es' * (len(unique) != 1)} cannot be split into {', '.join(wanted)}; expected at "
            "least one class, or one group of classes, for each. Give other split_fractions or more classes.",
            "split_fractions",
        )
    counts = _counts(fractions, len(unique))
    order = [unique[i] for i in np.random.default_rng(seed).permutation(len(unique))]
    split_of = dict(zip(order, np.repeat(SPLITS, counts).tolist(), strict=True))
    return {name: split_of[unit] for name, unit in units.items()}


def _counts(fractions: Sequence[float], total: int) -> list[int]:
    """Divide `total` by fractions, at least 1 for each above 0."""
    counts = [max(int(share > 0), round(share * total)) for share in fractions]
    while sum(counts) != total:  # give to, or take from, the largest
        counts[counts.index(max(counts))] += 1 if sum(counts) < total else -1
    return counts
