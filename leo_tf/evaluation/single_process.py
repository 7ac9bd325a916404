"""Work that may be shared among workers, in a single process."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class SingleProcess:
    """A process that does all of the work, with the methods of `Collectives`, which documents them."""

    is_chief = True
    count = 1

    def shard(self, count: int) -> range:
        """Return the indices of this worker's share of `count` items."""
        return range(count)

    def batch_size(self, count: int, largest: int) -> int:
        """Return how many of `count` tasks to score at once, at most `largest`."""
        return min(count, largest)

    def map_tasks(self, score: Callable[[np.ndarray], Any], count: int, batch_size: int) -> Any:
        """Return the scores of `count` tasks, a NamedTuple of arrays [..., count]; `score` makes batches itself."""
        return score(np.arange(count))

    def all_reduce(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return arrays to which each worker contributes its part."""
        return list(arrays)

    def all_gather(self, content: Any) -> list[Any]:
        """Return the contents of all workers."""
        return [content]

    def broadcast(self, content: Any) -> Any:
        """Return the chief's content."""
        return self.all_gather(content)[0]

    def assert_equal(self, facts: Any) -> None:
        """Raise InputError unless the facts of all workers are equal."""

    def broadcast_variables(self, variables: Sequence[Any]) -> None:
        """Assign the chief's values to the variables."""


SINGLE_PROCESS = SingleProcess()
