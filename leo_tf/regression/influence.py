"""Influence of single support points: adaptation with each of them left out."""

from typing import NamedTuple

import numpy as np

from leo_tf.regression.analysis_target import RegressionTarget


class Influence(NamedTuple):
    """Changes without each support point, [tasks, shots]."""

    moved: np.ndarray  # root mean square change of the function on the grid
    lost: np.ndarray  # squared error without the point less that with it; negative where the point does harm


def leave_one_out(target: RegressionTarget) -> Influence:
    """Adapt to a target's tasks of 2 points or more, leaving out each support point in turn."""
    whole, truth = target.adapted_functions(), target.tasks.truth
    moved, lost = [], []
    for left_out in range(target.shots):
        functions = target.adapted_functions([point for point in range(target.shots) if point != left_out])
        moved.append(np.sqrt(np.mean((functions - whole) ** 2, axis=1)))
        lost.append(np.mean((functions - truth) ** 2, axis=1) - np.mean((whole - truth) ** 2, axis=1))
    return Influence(np.stack(moved, axis=1), np.stack(lost, axis=1))
