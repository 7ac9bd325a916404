"""Work shared among workers, for those who need not know how many there are."""

import numpy as np


class SingleProcess:
    """A process that has all of the work. A Collectives is the same for many workers, and says more of these methods."""

    is_chief = True
    count = 1  # of workers

    def shard(self, count):
        """Return which of `count` pieces of work are this worker's, a range."""
        return range(count)

    def batch_size(self, count, most):
        """Return how many of `count` tasks to score at once, at most `most`."""
        return min(count, most)

    def spread(self, score, count, batch_size):
        """Score `count` tasks; returns what `score` does, of all of them.

        Args:
          score: function from indices [n], which follow each other, to a NamedTuple of NumPy arrays [..., n].
          count: int.
          batch_size: tasks at once at most, as `most` of `batch_size`; one process scores all in one call.
        """
        return score(np.arange(count))

    def all_reduce(self, arrays):
        """Return arrays of which every worker has filled in its own part, and left the others zero."""
        return arrays

    def all_gather(self, content):
        """Return what every worker gives, a list; it goes to JSON."""
        return [content]

    def assert_equal(self, statement):
        """Raise InputError, on all workers the same, unless all state the same."""

    def broadcast_variables(self, variables):
        """Give the variables the values that the chief's have."""


SINGLE_PROCESS = SingleProcess()
