"""Evaluate a regression model and its baselines on fixed tasks, at several numbers of shots."""

import functools
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from leo_tf import randomness
from leo_tf.errors import InputError
from leo_tf.evaluation.fingerprint import fingerprint
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.problem import Evaluation, EvaluationReport
from leo_tf.regression.ambiguous import draw_ambiguous, evaluate_ambiguity
from leo_tf.regression.analysis_target import RegressionTarget
from leo_tf.regression.baselines.gaussian_process import fit_kernel, gaussian_process, require_scikit_learn
from leo_tf.regression.baselines.posterior import exact_posterior
from leo_tf.regression.episodes import RegressionSampler
from leo_tf.regression.figure import NUM_PANELS, find_panels, sampled_figures
from leo_tf.regression.recalibration import evaluate_spread
from leo_tf.regression.results import RegressionResult, score_functions
from leo_tf.regression.sampling import FunctionSampler
from leo_tf.regression.tasks import MOST_SHOTS, SHOTS, RegressionTasks, draw_tasks, grid

_logger = logging.getLogger("leo_tf")
_NUM_TASKS, _SAMPLES = 1000, 100
_AMBIGUOUS_TASKS = 300
_SPREAD_TASKS = 500  # validation tasks that the calibrated spread is chosen on
_BASELINES = ("gaussian_process",)  # on request
_KERNEL_TASKS = 300  # training tasks that the shared kernel is fitted to
_STREAMS = {"val": randomness.VALIDATION, "test": randomness.TEST}


def evaluate(
    model: Any,
    tasks: RegressionTasks,
    shots: Sequence[int] = SHOTS,
    num_samples: int = _SAMPLES,
    batch_size: int = 200,
    jit: bool = True,
    workers: Any = SINGLE_PROCESS,
) -> RegressionResult:
    """Evaluate a RegressionLearner at several numbers of shots, from 1 to 20, on tasks that all workers share.

    `num_samples` functions are sampled per task, of models without noise one; `batch_size`, `jit`: see FunctionSampler.
    """
    batch_size = workers.batch_size(len(tasks), batch_size)
    sampler = FunctionSampler(model, batch_size, jit)

    def functions(support_x: Any, support_y: Any, first_task: int) -> Any:
        return None, sampler.functions(support_x, support_y, num_samples, first_task=first_task)

    return score_functions(functions, tasks, shots, model.algorithm, fingerprint(model), workers, batch_size)


def evaluate_posterior(
    tasks: RegressionTasks, shots: Sequence[int] = SHOTS, num_samples: int = 100, noise_stddev: float = 0.3
) -> RegressionResult:
    """Evaluate the exact posterior, which has the least possible mean squared error and the true uncertainty."""

    def functions(support_x: Any, support_y: Any, _: int) -> Any:  # all tasks at once: they share one random stream
        found = exact_posterior(support_x, support_y, noise_stddev)
        return found.mean(grid()), found.sample(grid(), num_samples, seed=0)

    return score_functions(functions, tasks, shots, "exact posterior")


def evaluate_gaussian_process(
    tasks: RegressionTasks, shots: Sequence[int], num_samples: int, noise_stddev: float, shared: bool
) -> RegressionResult:
    """Evaluate Gaussian processes with one shared kernel, fitted to 300 training tasks, or with one for each task."""
    kernel = None
    if shared:
        pair = randomness.stream_seed(0, randomness.EPISODES)
        drawn = RegressionSampler(MOST_SHOTS, 1, noise_stddev).sample(pair, 0, _KERNEL_TASKS)
        kernel = fit_kernel(drawn.support_x.numpy(), drawn.support_y.numpy(), noise_stddev)

    def functions(support_x: Any, support_y: Any, _: int) -> Any:
        found = gaussian_process(support_x, support_y, grid(), noise_stddev, kernel)
        return found.mean, found.sample(num_samples, seed=0)

    name = f"Gaussian process, {'shared kernel' if shared else 'kernel per task'}"
    return score_functions(functions, tasks, shots, name)


class RegressionEvaluation(Evaluation):
    """Errors of sampled functions at several numbers of shots; see Evaluation."""

    result_type = RegressionResult

    def _set_up(self) -> None:
        request = self.request
        if request.split not in _STREAMS:
            raise InputError(f"Got split={request.split}; expected val or test for a regression run.", "split")
        if request.samples is not None and request.samples < 1:
            raise InputError(f"Got samples={request.samples}; expected at least 1.", "samples")
        self.shots = sorted(set(request.shots)) or list(SHOTS)
        if self.shots[0] < 1 or self.shots[-1] > MOST_SHOTS:
            given = ",".join(map(str, request.shots))
            raise InputError(
                f"Got shots_grid={given}; expected whole numbers from 1 to {MOST_SHOTS}, as 1,5,20.", "shots_grid"
            )
        self._noise, self._stream = self.config.regression.noise_stddev, _STREAMS[request.split]
        self._num_tasks = _NUM_TASKS if request.num_tasks is None else request.num_tasks
        self._samples = request.samples or _SAMPLES
        unknown = [name for name in request.baselines if name not in ("all", *_BASELINES)]
        if unknown:
            expected = f"all or {', '.join(_BASELINES)} for a regression run"
            raise InputError(f"Got baselines={','.join(unknown)}; expected {expected}.", "baselines")
        if request.baselines:
            require_scikit_learn()
            if not self._noise:
                raise InputError(
                    "The run has no noise, and baselines=gaussian_process needs some; leave it out.", "baselines"
                )

    def _name_parts(self) -> Iterator[str]:
        if self._num_tasks != _NUM_TASKS:
            yield f"{self._num_tasks}tasks"
        if self.shots != list(SHOTS):
            yield f"{'_'.join(map(str, self.shots))}shot"
        if self._samples != _SAMPLES:
            yield f"{self._samples}samples"
        if self.request.seed:
            yield f"seed{self.request.seed}"

    @property
    def about(self) -> dict[str, Any]:
        return {**super().about, "seed": self.request.seed}

    @functools.cached_property
    def tasks(self) -> RegressionTasks:
        tasks = draw_tasks(self._num_tasks, self.request.seed, self._stream, self._noise)
        sinusoids = int(tasks.is_sinusoid.sum())
        if min(sinusoids, len(tasks) - sinusoids) < 2:
            raise InputError(
                f"Of {len(tasks)} tasks {sinusoids} are sinusoids; expected at least 2 of each family, for "
                "intervals. Give a larger num_tasks.",
                "num_tasks",
            )
        return tasks

    @property
    def _batching(self) -> tuple[int, bool]:
        return self.config.training.metatest_batch_size, self.config.training.jit != "off"

    def evaluate(self, learner: Any, workers: Any = SINGLE_PROCESS) -> RegressionResult:
        batch_size, jit = self._batching
        return evaluate(learner, self.tasks, self.shots, self._samples, batch_size, jit, workers)

    def run(self, learner: Any, title: str = "", workers: Any = SINGLE_PROCESS) -> EvaluationReport:
        """See Evaluation; the extras are calibrated spread, ambiguous tasks and the paper's figure."""
        result = self.evaluate(learner, workers)
        if not workers.is_chief:
            return EvaluationReport(result)
        return EvaluationReport(result, self._baselines(), *self._extras(learner, title))

    def analysis_target(self, learner: Any) -> RegressionTarget:
        return RegressionTarget(learner, self.tasks, self.config.episodes.num_tr_examples_per_class)

    def require_comparable(self, result: RegressionResult) -> None:
        super().require_comparable(result)
        for shots in self.shots:
            result.require_shots(shots)

    def is_answered_by(self, result: RegressionResult, learner: Any, fingerprint: str) -> bool:
        count = self._samples if learner.normals_per_task else 1
        same = (result.shots_evaluated, result.num_samples) == (self.shots, count)
        return same and super().is_answered_by(result, learner, fingerprint)

    def _baselines(self) -> list[RegressionResult]:
        """Return the exact posterior's Result, and on request those of Gaussian processes."""
        same = self.tasks, self.shots, self._samples, self._noise
        found = [evaluate_posterior(*same)] if self._noise else []
        if self.request.baselines:
            found += [evaluate_gaussian_process(*same, shared) for shared in (True, False)]
        return found

    def _extras(self, learner: Any, title: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
        lines: list[str] = []
        summary: dict[str, Any] = {}
        sampler = FunctionSampler(learner, *self._batching)
        if learner.normals_per_task and self._samples > 1 and self.request.split != "val":
            own, seed = self.trained.episodes.num_tr_examples_per_class, self.trained.training.validation_seed
            shots = own if own in self.shots else self.shots[-1]
            validation = draw_tasks(_SPREAD_TASKS, seed, randomness.VALIDATION, self._noise)
            spread = evaluate_spread(sampler, validation, self.tasks, shots, self._samples)
            lines, summary = [str(spread)], {"calibrated_spread": spread.summary()}
        if self._noise and learner.normals_per_task:
            try:
                tasks, probability = draw_ambiguous(_AMBIGUOUS_TASKS, self.request.seed, self._stream, self._noise)
            except InputError as error:  # very little noise
                _logger.warning("Ambiguous tasks are left out: %s", error)
            else:
                found = evaluate_ambiguity(sampler, tasks, probability, self._samples, self._noise)
                lines, summary = [*lines, str(found)], {**summary, "ambiguity": found.summary()}
        of_panels = FunctionSampler(learner, NUM_PANELS, self._batching[1])
        figures = sampled_figures(find_panels(self._noise, self._stream), of_panels, title)
        return "\n".join(lines), summary, figures
