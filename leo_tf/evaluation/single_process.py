"""Work that may be shared among workers, in a single process."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class SingleProcess:
    """A process that does all of the work, with the methods of `Collectives`, which documents them."""

    is_chief = True
    count = 1

    def shard(self, count: int) -> range:
        return range(count)

    def batch_size(self, count: int, largest: int) -> int:
        return min(count, largest)

    def map_tasks(self, score: Callable[[np.ndarray], Any], count: int, batch_size: int) -> Any:
        return score(np.arange(count))

    def all_reduce(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(arrays)

    def all_gather(self, content: Any) -> list[Any]:
        return [content]

    def broadcast(self, content: Any) -> Any:
        return self.all_gather(content)[0]

    def assert_equal(self, facts: Any) -> None:
        """Raise InputError unless the facts of all workers are equal."""

    def broadcast_variables(self, variables: Sequence[Any]) -> None:
        """Assign the chief's values to the variables."""


SINGLE_PROCESS = SingleProcess()
