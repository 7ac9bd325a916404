"""Measures of how well codes separate by label."""

from typing import NamedTuple

import numpy as np

_BLOCK = 500  # codes whose distances to all others are held at once
_NEIGHBOURS = 5  # whose mean predicts a value


class Separation(NamedTuple):
    """Separation of codes by label."""

    silhouette: float  # -1 to 1; how much closer codes are to their own label than to the nearest other
    fisher_ratio: float  # trace of the scatter between labels over that within
    neighbour_accuracy: float  # fraction of codes whose nearest neighbour, of another task, has their label


def separation(codes: np.ndarray, labels: np.ndarray, tasks: np.ndarray, rows: np.ndarray | None = None) -> Separation:
    """Measure how well codes [codes, num_latents] separate by label [codes].

    tasks [codes]: the task of each code; only codes of other tasks count as neighbours. rows [codes, shots]: the
    examples behind each code; codes that share an example do not count either. None if no tasks share examples.
    """
    from sklearn.metrics import silhouette_score

    codes, (names, index) = np.asarray(codes, np.float64), np.unique(labels, return_inverse=True)
    means = np.stack([codes[index == label].mean(axis=0) for label in range(len(names))])
    between = np.sum(np.bincount(index) * np.sum((means - codes.mean(axis=0)) ** 2, axis=1))
    within = np.sum((codes - means[index]) ** 2)
    nearest = neighbours(codes, tasks, rows, 1)[:, 0]
    return Separation(
        float(silhouette_score(codes, index)),
        float(between / within),
        float(np.mean(index[nearest] == index)),
    )


def explained_by_neighbours(
    codes: np.ndarray, values: np.ndarray, tasks: np.ndarray, rows: np.ndarray | None = None
) -> float:
    """Return R^2, the fraction of the variance of values that the mean of a code's five nearest neighbours explains.

    Arguments are as in `separation`; codes whose value is NaN are left out.
    """
    kept = ~np.isnan(values)
    codes, values, tasks = np.asarray(codes, np.float64)[kept], values[kept], tasks[kept]
    nearest = neighbours(codes, tasks, None if rows is None else rows[kept], min(_NEIGHBOURS, len(codes) - 1))
    predicted = values[nearest].mean(axis=1)
    return float(1 - np.mean((values - predicted) ** 2) / np.var(values))


def neighbours(codes: np.ndarray, tasks: np.ndarray, rows: np.ndarray | None, count: int) -> np.ndarray:
    """Return the indices [codes, count] of each code's nearest ones in other tasks and without shared examples."""
    squares = np.sum(codes**2, axis=1)
    found = np.empty([len(codes), count], np.int64)
    for first in range(0, len(codes), _BLOCK):
        block = slice(first, first + _BLOCK)
        distances = squares[block, np.newaxis] + squares - 2 * codes[block] @ codes.T
        distances[tasks[block, np.newaxis] == tasks] = np.inf
        if rows is not None:
            for shot in rows[block].T:
                for other in rows.T:
                    distances[shot[:, np.newaxis] == other] = np.inf
        if count == 1:
            found[block, 0] = distances.argmin(axis=1)
        else:
            found[block] = np.argpartition(distances, count - 1, axis=1)[:, :count]
    return found
