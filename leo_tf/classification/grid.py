"""The grid of ways and shots on which a model for any task is chosen and validated, and numbers between its shots."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf.data import EmbeddingTable, most_ways
from leo_tf.errors import InputError

WAYS, SHOTS = 15, (1, 5, 20)  # the most ways, beside those of the run
_SUPPORT_BUDGET, _FEWEST_TASKS, _MOST_TASKS = 5_000, 30, 150
_FEWEST_QUERIES = 5


class Cell(NamedTuple):
    """Tasks of one shape."""

    ways: int
    shots: int
    tasks: int  # number of them


def grid_cells(table: EmbeddingTable, ways: int, within: str = "all") -> list[Cell]:
    """Return the cells that a table allows: few ways and many, within one group or among all classes; 1, 5, 20 shots.

    Raises InputError if the table has fewer than two classes, or a class has one example.
    """
    smallest = int(table.class_sizes.min())
    if table.num_classes < 2 or smallest < 2:
        name = table.class_names[int(table.class_sizes.argmin())]
        raise InputError(
            f"{table.source} has {table.num_classes} class{'es' * (table.num_classes > 1)}, and class {name!r} "
            f"{smallest} example{'s' * (smallest > 1)}; validation tasks need at least 2 of each. Give "
            "metavalid_tasks=0 to train without validation, or add classes or examples.",
            "metavalid_tasks",
        )
    shots = [number for number in SHOTS if number + _FEWEST_QUERIES <= smallest] or [1]
    return [
        Cell(each, number, max(_FEWEST_TASKS, min(_MOST_TASKS, _SUPPORT_BUDGET // (each * number))))
        for each in grid_ways(table, ways, within)
        for number in shots
    ]


def grid_ways(table: EmbeddingTable, ways: int, within: str) -> list[int]:
    """Return few ways, these as far as there are classes, and many: up to 15."""
    few = min(ways, table.num_classes)
    return sorted({few, min(WAYS, most_ways(table, few, within))})


def task_shapes(
    ways: tuple[int, int], shots: tuple[int, int], table: EmbeddingTable, queries: int
) -> list[tuple[int, int]]:
    """Return (ways, shots) of the tasks of meta-training, a few for ranges of ways and shots.

    Each shape is compiled on its own, so that there are few: 1, 2, 5, 10, 20, 50 ... shots within the range and within
    what classes have beside their queries. With many shots go few ways, so that all steps take about as long.
    """
    few, many = shots
    most = max(few, min(many, int(table.class_sizes.min()) - queries))
    between = [int(digit * 10**power) for power in range(5) for digit in (1, 2, 5)]
    numbers = sorted({few, most, *(number for number in between if few < number < most)})
    if len(numbers) == 1:
        numbers *= 1 if ways[0] == ways[1] else 3
    several = np.geomspace(ways[1], ways[0], len(numbers)).round().astype(int)
    return list(dict.fromkeys((int(each), number) for each, number in zip(several, numbers, strict=True)))


def interpolate_by_shots(count: Any, shots: Sequence[int], values: Any) -> tf.Tensor:
    """Interpolate linearly in the logarithm of the number of examples per class; constant outside.

    `values` are scalars, one for each of `shots`, which rise. `count`, a float tensor of any shape, holds mean numbers
    of examples per class, above 0; the result has its shape.
    """
    x = tf.math.log(count)
    first, *others = tf.unstack(tf.convert_to_tensor(values, x.dtype))
    found = first + tf.zeros_like(x)
    for low, high, before, after in zip(shots, shots[1:], [first, *others], others, strict=False):
        share = (x - math.log(low)) / math.log(high / low)
        found += tf.clip_by_value(share, 0.0, 1.0) * (after - before)
    return found
