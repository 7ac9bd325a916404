"""What train, evaluate, search, analysis and reproduce need of a problem: tasks, learner, measure and evaluation."""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from leo_tf.analysis_target import AnalysisTarget
from leo_tf.evaluation.intervals import Interval
from leo_tf.evaluation.results import require_of_tasks
from leo_tf.evaluation.single_process import SINGLE_PROCESS


class Validation(NamedTuple):
    """What a validation found."""

    interval: Interval  # of the problem's measure
    others: Mapping[str, float] = MappingProxyType({})  # more numbers, those that the problem names
    figures: Mapping[str, Any] = MappingProxyType({})  # matplotlib figures by name
    baselines: Mapping[str, float] = MappingProxyType({})  # the measure of what is to be beaten, on the same tasks
    scores: Any = None  # the measure task by task, a NumPy array [tasks], where metavalid_at_start needs it


@dataclasses.dataclass(frozen=True)
class EvaluationRequest:
    """What an evaluation is asked for; None and empty leave it to the problem."""

    split: str = "test"
    num_tasks: int | None = None
    seed: int = 0
    queries: int | None = None  # of a class; None: all that remain
    tasks_file: str = ""  # evaluate on the tasks in this file
    samples: int | None = None  # functions for each task
    shots: tuple[int, ...] = ()  # evaluate at each of these
    baselines: tuple[str, ...] = ()  # more of them, by name


class Extras(NamedTuple):
    """What a problem reports beside the result."""

    text: str
    summary: Mapping[str, Any]  # joins the result's JSON
    figures: Mapping[str, Any]  # matplotlib figures by name


class Evaluation:
    """Fixed tasks of a problem, and how a learner is evaluated on them.

    Making one checks all that can be known before data are read.

    Args:
      config: RunConfig, with what the evaluation changes.
      request: EvaluationRequest.
      trained: RunConfig that the learner was trained with; default `config`.
      data_record: what the learner was trained on, as Problem.data_record; empty where that is not known.
      workers: Collectives that the tasks of `evaluate` are spread over; all of its workers call that.

    Raises:
      InputError: the request asks for what there is not.
    """

    result_type: Any = None  # a Result
    title = ""  # of the data, for the printed line

    def __init__(self, config, request, trained=None, data_record=MappingProxyType({}), workers=SINGLE_PROCESS):
        self.config, self.request, self.trained = config, request, trained or config
        self.data_record, self.workers = data_record, workers

    @property
    def name(self) -> str:
        """The name, without ending, of the evaluation's files: all that differs from the defaults is in it."""
        return "-".join(["evaluation", self.request.split, *self._name_parts()])

    def _name_parts(self):
        raise NotImplementedError

    @property
    def about(self) -> dict:
        """Facts on the evaluation for its JSON."""
        return {"split": self.request.split}

    @property
    def tasks(self):
        """The tasks, drawn or read: `digest` is their hash, `identity` what else tells them from others.

        Raises:
          InputError: the data are missing or have no such tasks.
        """
        raise NotImplementedError

    def evaluate(self, learner):
        """Evaluate a learner on the tasks; return a Result of `result_type`.

        Raises:
          InputError: the tasks do not fit the learner.
        """
        raise NotImplementedError

    @property
    def is_of_the_run(self) -> bool:
        """Whether the tasks are of the shape and data that the run was trained for."""
        return self.config.episodes == self.trained.episodes and self.config.data == self.trained.data

    def advice(self, result, best_step, last_step) -> str:
        """Say in one line that a Result is worse than a baseline and why that may be; empty if it is not.

        Args:
          result: of `result_type`.
          best_step, last_step: of the evaluated checkpoint, and of the run's latest, int or None.
        """
        return ""

    def calibrate(self, learner) -> Mapping[str, Any]:
        """Fit what makes the learner's probabilities believable, on validation tasks.

        Returns:
          Dict for JSON: `temperature` and how it was found.

        Raises:
          InputError: there are no validation tasks to fit it on.
        """
        raise NotImplementedError

    def subject(self, learner) -> AnalysisTarget:
        """Return a AnalysisTarget of the tasks for analyses.

        Raises:
          InputError: the tasks do not fit the learner.
        """
        raise NotImplementedError

    def require_comparable(self, result):
        """Raise InputError unless a Result is of these tasks; before anything is evaluated."""
        require_of_tasks(self.tasks.identity, result)

    def is_answered_by(self, result, learner, fingerprint) -> bool:
        """Return whether a stored Result is what `evaluate` would give for the learner with this fingerprint."""
        return result.tasks_digest == self.tasks.digest and result.model_fingerprint == fingerprint

    def baselines(self) -> list:
        """Return the Results, on the same tasks, of what the learner is compared with."""
        return []

    def extras(self, learner, title) -> Extras:
        """Return what else there is to report; title: of figures."""
        return Extras("", {}, {})


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
    evaluation_type: Any = None  # an Evaluation
    evaluation_flags: frozenset[str] = frozenset()  # of evaluate.py, those that have a meaning here and not everywhere
    baselines: tuple[str, ...] = ()  # names that an EvaluationRequest may ask for

    def __init__(self, config):
        self.config = config

    @property
    def data_record(self) -> dict:
        """What the run is trained on, a dict for JSON: with other data it is another run.

        Raises:
          InputError: the data are missing or do not fit.
        """
        raise NotImplementedError

    @property
    def attachments(self) -> Mapping[str, Any]:
        """Files that a run keeps of its own: {name in the run's folder: path of the file}."""
        return {}

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

    def make_sampler(self, learner):
        """Return what samples meta-training tasks, in the current strategy's scope: `sample(seed, first_task, n)`."""
        raise NotImplementedError

    def make_validator(self, learner, workers=SINGLE_PROCESS) -> Callable[[], Validation] | None:
        """Return a function that judges the learner as it is then on the run's fixed validation tasks.

        None where metavalid_tasks is 0.

        Args:
          learner: of the problem.
          workers: Collectives that the tasks are spread over; all of its workers call the function.
        """
        raise NotImplementedError

    def evaluation_settings(self, learner) -> dict:
        """Return the settings, by name, without which evaluate.py would find no such tasks in the test data."""
        return {}

    def advice(self, validation, step, best_step) -> str:
        """Say in one line that a Validation is worse than a baseline and why that may be; empty if it is not."""
        return ""

    def standing(self, best) -> str:
        """Say, to end a sentence, that a run's best validation is worse than a baseline; empty if it is not."""
        return ""

    @staticmethod
    def text(value, half_width=None) -> str:
        """Write a value of the measure, with the half-width of its interval if given."""
        raise NotImplementedError
