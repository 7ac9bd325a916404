"""What train, evaluate, search and reproduce need of a problem: its tasks, learner, measure and evaluation."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from leo_tf.evaluation.intervals import Interval


class Validation(NamedTuple):
    """What a validation found."""

    interval: Interval  # of the problem's measure
    others: Mapping[str, float] = MappingProxyType({})  # more numbers, those that the problem names
    figures: Mapping[str, Any] = MappingProxyType({})  # matplotlib figures by name


class Problem:
    """A distribution of tasks to train, validate and test on, as a RunConfig describes it.

    Making one is quick; data are read when first needed.

    Args:
      config: RunConfig.

    Raises:
      InputError: the configuration does not fit the problem.
    """

    measure = ""  # name of the number that the best checkpoint has the best of
    higher_is_better = True
    other_measures: tuple[str, ...] = ()  # names in Validation.others

    def __init__(self, config):
        self.config = config

    @property
    def data_record(self) -> dict:
        """What the run is trained on, a dict for JSON: with other data it is another run.

        Raises:
          InputError: the data are missing or do not fit.
        """
        raise NotImplementedError

    def summary(self) -> str:
        """Describe the data in one line."""
        raise NotImplementedError

    def build_learner(self, data_record, seed=None):
        """Build the configured learner, in the current strategy's scope.

        Args:
          data_record: of the run's data, from `data_record` or the run's folder.
          seed: int, of the initial weights; None leaves them to Keras' global seed.

        Returns:
          MetaLearner.

        Raises:
          InputError: the record lacks what the learner needs.
        """
        raise NotImplementedError

    def make_sampler(self):
        """Return what samples meta-training tasks, in the current strategy's scope: `sample(seed, first_task, n)`."""
        raise NotImplementedError

    def make_validator(self, learner) -> Callable[[], Validation]:
        """Return a function that judges the learner as it is then on the run's fixed validation tasks."""
        raise NotImplementedError

    @staticmethod
    def text(value, half_width=None) -> str:
        """Write a value of the measure, with the half-width of its interval if given."""
        raise NotImplementedError
