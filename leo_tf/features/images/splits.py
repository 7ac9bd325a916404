"""A split by class: whole classes, or whole groups of classes, go to train, val and test."""

import numpy as np

from leo_tf.data.layout import SPLITS
from leo_tf.errors import InputError


def group_of(class_name):
    """Return the group of a class: its name up to the last slash; empty where it has none."""
    return class_name.rpartition("/")[0]


def parse_fractions(text):
    """Read "0.64,0.16,0.2".

    Raises:
      InputError: not three numbers of at least 0 that sum to 1.
    """
    try:
        fractions = [float(part) for part in text.split(",")]
    except ValueError:
        fractions = []
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            f"split_fractions={text} was given; expected the shares of train, val and test, as 0.64,0.16,0.2, which "
            "sum to 1."
        )
    return fractions


def split_classes(names, fractions, seed):
    """Assign every class to a split.

    Classes that have groups stay together with their group: an alphabet is in one split.

    Args:
      names: of the classes.
      fractions: shares of train, val and test, by number of units; every share above 0 gets at least one.
      seed: int.

    Returns:
      {class name: split}.

    Raises:
      InputError: fewer units than splits.
    """
    groups = {name: group_of(name) or name for name in names}
    units = sorted(set(groups.values()))
    wanted = [split for split, share in zip(SPLITS, fractions, strict=True) if share > 0]
    if len(units) < len(wanted):
        raise InputError(
            f"{len(units)} class{'es' * (len(units) != 1)} cannot be split into {', '.join(wanted)}; expected one "
            "class, or one group of classes, for each at least. Give other split_fractions or more classes."
        )
    order = [units[i] for i in np.random.default_rng(seed).permutation(len(units))]
    ends = _ends(fractions, len(units))
    split_of_unit: dict[str, str] = {}
    start = 0
    for split, end in zip(SPLITS, ends, strict=True):
        split_of_unit |= dict.fromkeys(order[start:end], split)
        start = end
    return {name: split_of_unit[group] for name, group in groups.items()}


def _ends(fractions, units):
    """Return where each split ends, at least one unit after the one before where its share is above 0."""
    counts = [max(int(share > 0), round(share * units)) for share in fractions]
    while sum(counts) != units:  # give to, or take from, the largest
        counts[counts.index(max(counts))] += 1 if sum(counts) < units else -1
    return np.cumsum(counts).tolist()
