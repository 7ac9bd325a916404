"""How much hangs on a single support point: adaptation with each of them left out."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from leo_tf.errors import InputError
from leo_tf.regression.tasks import grid


class Influence(NamedTuple):
    """Of each support point of some tasks, [tasks, shots]."""

    moved: np.ndarray  # root mean square by which the function moves on the grid
    lost: np.ndarray  # squared error without the point less that with it; below 0 it does harm


def leave_one_out(subject):
    """Adapt to tasks with each support point left out in turn.

    Args:
      subject: RegressionTarget.

    Returns:
      Influence.

    Raises:
      InputError: tasks of one point.
    """
    if subject.shots < 2:
        raise InputError("Nothing is left of one point; expected 2 or more (num_tr_examples_per_class).")
    whole, truth, x = subject.adapted_functions(), subject.tasks.truth, grid()
    moved, lost = [], []
    for left_out in range(subject.shots):
        kept = [point for point in range(subject.shots) if point != left_out]
        functions = np.concatenate(
            [
                subject.functions(
                    subject.learner.adapt_in_evaluation(*(tf.gather(values, kept, axis=1) for values in support)), x
                )
                for support in subject.supports()
            ]
        )
        moved.append(np.sqrt(np.mean((functions - whole) ** 2, axis=1)))
        lost.append(np.mean((functions - truth) ** 2, axis=1) - np.mean((whole - truth) ** 2, axis=1))
    return Influence(np.stack(moved, axis=1), np.stack(lost, axis=1))
