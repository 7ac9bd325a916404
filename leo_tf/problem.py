"""What train, evaluate, search, analysis and reproduce need of a problem: tasks, learner, measure and evaluation."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from leo_tf.analysis_target import AnalysisTarget
from leo_tf.config import RunConfig
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
class Initialization:
    """What `Problem.initialize` chose on validation tasks; part of the run, which never chooses again when resumed.

    Attributes:
      chosen: {setting: value}; empty where there was nothing to choose.
      measured: {name: number}, measured on the way.
    """

    chosen: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    measured: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return a plain dict, for JSON, from which `Initialization(**record)` is made."""
        return {"chosen": dict(self.chosen), "measured": dict(self.measured)}

    def __str__(self) -> str:
        both = {**self.chosen, **self.measured}
        texts = {name: value if isinstance(value, str) else f"{value:.3g}" for name, value in both.items()}
        return ", ".join(f"{name}={text}" for name, text in texts.items())


@dataclasses.dataclass(frozen=True)
class EvaluationRequest:
    """Settings of an evaluation; None and empty values are defaults of the problem."""

    split: str = "test"
    num_tasks: int | None = None
    seed: int = 0
    queries: int | None = None  # per class; None: all remaining examples
    tasks_file: str = ""  # file of the tasks to evaluate on
    samples: int | None = None  # functions sampled per task
    shots: tuple[int, ...] = ()  # numbers of shots to evaluate at
    baselines: tuple[str, ...] = ()  # additional baselines, by name


class Extras(NamedTuple):
    """Additions of a problem to a report."""

    text: str = ""
    summary: Mapping[str, Any] = MappingProxyType({})  # joins the result's JSON
    figures: Mapping[str, Any] = MappingProxyType({})  # matplotlib figures by name


class EvaluationReport(NamedTuple):
    """Result of an evaluation, with everything that is reported beside it."""

    result: Any  # Result
    baselines: Sequence[Any] = ()  # Results of baselines on the same tasks
    extras: Extras = Extras()


class Evaluation:
    """Fixed tasks of a problem, and how a learner is evaluated on them.

    The constructor checks all that can be checked before data are read.

    Args:
      config: RunConfig of the evaluation.
      request: EvaluationRequest.
      trained: RunConfig that the learner was trained with; default `config`.
      data_record: Problem.data_record of the data that the learner was trained on; empty where it is unknown.

    Raises:
      InputError: the request does not fit the problem.
    """

    result_type: Any = None  # a Result
    title = ""  # of the data, for the printed line

    def __init__(
        self,
        config: RunConfig,
        request: EvaluationRequest,
        trained: RunConfig | None = None,
        data_record: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.config, self.request, self.trained = config, request, trained or config
        self.data_record = data_record
        self._set_up()

    def _set_up(self) -> None:
        """Check the request, and derive from it what the evaluation needs."""

    @property
    def name(self) -> str:
        """The name of the evaluation's files, without suffix; it contains every setting that is not a default."""
        return "-".join(["evaluation", self.request.split, *self._name_parts()])

    def _name_parts(self) -> Iterator[str]:
        raise NotImplementedError

    @property
    def about(self) -> dict[str, Any]:
        """Description of the evaluation for its JSON."""
        return {"split": self.request.split}

    @property
    def tasks(self) -> Any:
        """The tasks, drawn or read: `digest` is their hash, `identity` a dict that distinguishes them from others.

        Raises:
          InputError: the data are missing or have no such tasks.
        """
        raise NotImplementedError

    def evaluate(self, learner: Any, workers: Any = SINGLE_PROCESS) -> Any:
        """Evaluate a learner on the tasks; return a Result of `result_type`.

        Args:
          learner: MetaLearner.
          workers: Collectives that the tasks are spread over; all of its workers call this.

        Raises:
          InputError: the tasks do not fit the learner.
        """
        raise NotImplementedError

    def run(self, learner: Any, title: str = "", workers: Any = SINGLE_PROCESS) -> EvaluationReport:
        """Evaluate a learner with baselines and all else that the problem reports.

        Args:
          learner, workers: as for `evaluate`. The chief alone computes what is not shared.
          title: of figures.

        Returns:
          EvaluationReport.

        Raises:
          InputError: as `evaluate`.
        """
        return EvaluationReport(self.evaluate(learner, workers))

    @property
    def matches_training(self) -> bool:
        """Whether the tasks have the shape and data that the run was trained for."""
        return self.config.episodes == self.trained.episodes and self.config.data == self.trained.data

    def advice(self, result: Any, best_step: int, last_step: int | None) -> str:
        """Return one line that names a baseline better than a Result, and likely reasons; empty if there is none.

        Args:
          result: of `result_type`.
          best_step, last_step: of the evaluated checkpoint, and of the run's latest.
        """
        return ""

    def calibrate(self, learner: Any) -> Mapping[str, Any]:
        """Fit a calibration temperature on validation tasks.

        Returns:
          Dict for JSON: `temperature` and how it was found.

        Raises:
          InputError: there are no validation tasks to fit it on.
        """
        raise NotImplementedError

    def analysis_target(self, learner: Any) -> AnalysisTarget:
        """Return an AnalysisTarget of the tasks for analyses.

        Raises:
          InputError: the tasks do not fit the learner.
        """
        raise NotImplementedError

    def require_comparable(self, result: Any) -> None:
        """Raise InputError unless a Result is of these tasks; before anything is evaluated."""
        require_of_tasks(self.tasks.identity, result)

    def is_answered_by(self, result: Any, learner: Any, fingerprint: str) -> bool:
        """Return whether a stored Result is what `evaluate` would give for the learner with this fingerprint."""
        return result.tasks_digest == self.tasks.digest and result.model_fingerprint == fingerprint


class Problem:
    """A distribution of tasks to train, validate and test on, as a RunConfig describes it.

    The constructor is quick; data are read when first needed.

    Args:
      config: RunConfig.

    Raises:
      InputError: the configuration does not fit the problem.
    """

    measure = ""  # name of the number that decides which checkpoint is the best
    higher_is_better = True
    other_measures: tuple[str, ...] = ()  # names in Validation.others
    evaluation_type: Any = None  # an Evaluation

    def __init__(self, config: RunConfig) -> None:
        self.config = config

    @property
    def data_record(self) -> dict[str, Any]:
        """Description of the training data, a dict for JSON; a run cannot be resumed with other data.

        Raises:
          InputError: the data are missing or do not fit.
        """
        raise NotImplementedError

    @property
    def attachments(self) -> Mapping[str, Any]:
        """Files that are copied into a run: {name in the run directory: path of the file}."""
        return {}

    def summary(self) -> str:
        """Describe the data in one line."""
        raise NotImplementedError

    def build_learner(self, data_record: Mapping[str, Any], seed: int | None = None) -> Any:
        """Build the configured learner, in the current strategy's scope.

        Args:
          data_record: as `data_record`; from there or from the run directory.
          seed: int, of the initial weights; None leaves them to Keras' global seed.

        Returns:
          MetaLearner.

        Raises:
          InputError: the record lacks what the learner needs.
        """
        raise NotImplementedError

    def initialize(self, learner: Any, previous: Initialization | None = None) -> Initialization:
        """Prepare a learner of this problem for training: fit it to the data, choose its settings that are "auto".

        Args:
          learner: from `build_learner`.
          previous: what was chosen when the run began; it is used, and nothing is chosen.

        Returns:
          Initialization.

        Raises:
          InputError: the data do not allow it, or there are no validation tasks to choose on.
        """
        return Initialization()

    def make_sampler(self, learner: Any) -> Any:
        """Return the sampler of meta-training tasks, `sample(seed, first_task, num_tasks) -> episode`.

        Episodes hold features, as the initialised learner computes them. Call it in the strategy's scope.
        """
        raise NotImplementedError

    def make_validator(self, learner: Any, workers: Any = SINGLE_PROCESS) -> Callable[[], Validation] | None:
        """Return a function that validates the learner, in its current state, on the run's fixed validation tasks.

        None where metavalid_tasks is 0.

        Args:
          learner: of the problem, initialised.
          workers: Collectives that the tasks are spread over; all of its workers call the function.
        """
        raise NotImplementedError

    def evaluation_settings(self, learner: Any) -> dict[str, Any]:
        """Return settings, by name, that evaluate.py needs to find tasks in the test data."""
        return {}

    def advice(self, validation: Validation, step: int, best_step: int) -> str:
        """Return one line on why a Validation may be worse than a baseline; empty if it is not worse."""
        return ""

    def standing(self, best: float) -> str:
        """Return a clause on the baseline that is better than a run's best validation; empty if there is none."""
        return ""

    @staticmethod
    def text(value: float, half_width: float | None = None) -> str:
        """Write a value of the measure, with the half-width of its interval if given."""
        raise NotImplementedError
