"""What a trainer has to know of a problem: the tasks, the model, and how a validation is judged."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from leo_tf.evaluation.intervals import Interval


class Validation(NamedTuple):
    """What a validation found."""

    interval: Interval  # of the problem's measure
    others: Mapping[str, float] = MappingProxyType({})  # more numbers, those that the problem names
    figures: Mapping[str, Any] = MappingProxyType({})  # matplotlib figures by name


class Problem:
    """A distribution of tasks to train and validate on, as a RunConfig describes it.

    Args:
      config: RunConfig.

    Raises:
      InputError: the data are missing or do not fit.
    """

    measure = ""  # name of the number that the best checkpoint has the best of
    higher_is_better = True
    other_measures: tuple[str, ...] = ()  # names in Validation.others

    @property
    def data(self):
        """What the run was trained on, a dict for JSON: with other data it is another run."""
        raise NotImplementedError

    def build(self):
        """Build the model and what samples its tasks, in the current strategy's scope.

        Returns:
          (MetaLearner, an object with `sample(seed, first_task, num_tasks)`).
        """
        raise NotImplementedError

    def summary(self):
        """Describe the data in one line."""
        raise NotImplementedError

    def validate(self):
        """Judge the model that `build` made on the run's fixed validation tasks.

        Returns:
          Validation.
        """
        raise NotImplementedError

    @staticmethod
    def text(value, half_width=None):
        """Write a value of the measure, with the half-width of its interval if given."""
        raise NotImplementedError
