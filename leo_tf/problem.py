"""Interface between a problem and train, evaluate, search, analysis and reproduce."""

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
    """Result of a validation."""

    interval: Interval  # of the problem's measure
    others: Mapping[str, float] = MappingProxyType({})  # more numbers, those that the problem names
    figures: Mapping[str, Any] = MappingProxyType({})  # matplotlib figures by name
    baselines: Mapping[str, float] = MappingProxyType({})  # their measure on the same tasks
    scores: Any = None  # the measure task by task, a NumPy array [tasks], where metavalid_at_start needs it


@dataclasses.dataclass(frozen=True)
class Initialization:
    """Settings that `Problem.initialize` chose on validation tasks; stored in the run, which never chooses again."""

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


class EvaluationReport(NamedTuple):
    """Result of an evaluation, with everything that is reported beside it."""

    result: Any  # Result
    baselines: Sequence[Any] = ()  # Results of baselines on the same tasks
    text: str = ""  # printed after the results
    summary: Mapping[str, Any] = MappingProxyType({})  # joins the result's JSON
    figures: Mapping[str, Any] = MappingProxyType({})  # matplotlib figures by name


class Evaluation:
    """Fixed tasks of a problem, and how a learner is evaluated on them.

    The constructor raises InputError where the request does not fit the problem, before any data are read. `trained` is
    the RunConfig that the learner was trained with, `data_record` describes the data that it was trained on.
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
        """Check the request; derive what the evaluation needs."""

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
        """The tasks, drawn or read: `digest` is their hash, `identity` a dict that distinguishes them from others."""
        raise NotImplementedError

    def evaluate(self, learner: Any, workers: Any = SINGLE_PROCESS) -> Any:
        """Return the Result of a learner on the tasks; all workers call it, and share the tasks."""
        raise NotImplementedError

    def run(self, learner: Any, title: str = "", workers: Any = SINGLE_PROCESS) -> EvaluationReport:
        """Evaluate a learner, with baselines and all else that is reported; the chief computes what is not shared."""
        raise NotImplementedError

    def advice(self, result: Any, best_step: int, last_step: int | None) -> str:
        """Return one line that names a baseline better than a Result, and likely reasons; empty if there is none."""
        return ""

    def calibrate(self, learner: Any) -> Mapping[str, Any]:
        """Fit calibration temperatures on validation tasks; return them and how they were found, for JSON."""
        raise NotImplementedError

    def analysis_target(self, learner: Any) -> AnalysisTarget:
        """Return an AnalysisTarget of the tasks for analyses."""
        raise NotImplementedError

    def require_comparable(self, result: Any) -> None:
        """Raise InputError unless a Result is of these tasks; before anything is evaluated."""
        require_of_tasks(self.tasks.identity, result)

    def is_answered_by(self, result: Any, learner: Any, fingerprint: str) -> bool:
        """Return whether a stored Result is what `evaluate` would give for the learner with this fingerprint."""
        return result.tasks_digest == self.tasks.digest and result.model_fingerprint == fingerprint


class Problem:
    """A distribution of tasks to train, validate and test on, as a RunConfig describes it.

    The constructor is quick; data are read when first needed. Methods raise InputError where data are missing or do not
    fit the configuration.
    """

    measure = ""  # name of the number that decides which checkpoint is the best
    higher_is_better = True
    other_measures: tuple[str, ...] = ()  # names in Validation.others
    evaluation_type: Any = None  # an Evaluation
    grid_type: Any = None  # an Evaluation of tasks of many shapes; None if there is none

    def __init__(self, config: RunConfig) -> None:
        self.config = config

    @property
    def data_record(self) -> dict[str, Any]:
        """Description of the training data, a dict for JSON; a run cannot be resumed with other data."""
        raise NotImplementedError

    @property
    def attachments(self) -> Mapping[str, Any]:
        """Files that are copied into a run: {name in the run directory: path of the file}."""
        return {}

    def summary(self) -> str:
        """Describe the data in one line."""
        raise NotImplementedError

    def build_learner(self, data_record: Mapping[str, Any], seed: int | None = None) -> Any:
        """Build the configured MetaLearner in the current strategy's scope.

        `data_record` is the problem's, or from the run directory; without a seed, Keras' global one draws weights.
        """
        raise NotImplementedError

    def initialize(self, learner: Any, previous: Initialization | None = None) -> Initialization:
        """Fit a learner to the data, and choose its "auto" settings; `previous`, of a resumed run, is used as it is."""
        return Initialization()

    def make_samplers(self, learner: Any) -> Sequence[Any]:
        """Return samplers of meta-training episodes of features, `sample(seed, first_task, num_tasks)`.

        Each step takes its tasks from one of them.
        """
        raise NotImplementedError

    def make_validator(self, learner: Any, workers: Any = SINGLE_PROCESS) -> Callable[[], Validation] | None:
        """Return a function, called by all workers, that validates a learner on fixed tasks; None if there are none."""
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
