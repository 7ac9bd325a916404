"""Evaluate a regression model on fixed tasks, at several numbers of shots."""

import functools
import importlib.util
import logging
from types import MappingProxyType

from leo_tf import randomness
from leo_tf.errors import InputError
from leo_tf.evaluation.fingerprint import fingerprint
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.problem import Evaluation, Extras
from leo_tf.regression.ambiguous import draw_ambiguous, evaluate_ambiguity
from leo_tf.regression.analysis_target import RegressionTarget
from leo_tf.regression.baselines.evaluation import evaluate_gaussian_process, evaluate_posterior
from leo_tf.regression.figure import choose_panels, draw_figure
from leo_tf.regression.recalibration import evaluate_spread
from leo_tf.regression.results import RegressionResult, score_functions
from leo_tf.regression.sampling import FunctionSampler
from leo_tf.regression.tasks import MOST_SHOTS, SHOTS, draw_tasks, grid

_logger = logging.getLogger("leo_tf")
_NUM_TASKS, _SAMPLES = 1000, 100
_AMBIGUOUS_TASKS, _FIGURE_SAMPLES = 300, 30
_SPREAD_TASKS = 500  # validation tasks that the calibrated spread is chosen on
_STREAMS = {"val": randomness.VALIDATION, "test": randomness.TEST}


def evaluate(model, tasks, shots=SHOTS, num_samples=_SAMPLES, batch_size=200, jit=True, workers=SINGLE_PROCESS):
    """Evaluate a model.

    Args:
      model: RegressionLearner.
      tasks: RegressionTasks.
      shots: numbers of support points, of 1 to 20 each.
      num_samples: functions sampled for each task; models without noise have one.
      batch_size, jit: as for FunctionSampler.
      workers: Collectives that the tasks are spread over; all of its workers call this.

    Returns:
      RegressionResult.
    """
    batch_size = workers.batch_size(len(tasks), batch_size)
    sampler = FunctionSampler(model, batch_size, jit)

    def functions(support_x, support_y, first_task):
        return None, sampler.functions(support_x, support_y, num_samples, first_task=first_task)

    return score_functions(functions, tasks, shots, model.algorithm, fingerprint(model), workers, batch_size)


class RegressionEvaluation(Evaluation):
    """Errors of sampled functions at several numbers of shots; see Evaluation."""

    result_type = RegressionResult

    def __init__(self, config, request, trained=None, data_record=MappingProxyType({}), workers=SINGLE_PROCESS):
        super().__init__(config, request, trained, data_record, workers)
        if request.split not in _STREAMS:
            raise InputError(f"Got split={request.split}; expected val or test for a regression run.")
        if request.samples is not None and request.samples < 1:
            raise InputError(f"Got samples={request.samples}; expected at least 1.")
        self.shots = sorted(set(request.shots)) or list(SHOTS)
        if self.shots[0] < 1 or self.shots[-1] > MOST_SHOTS:
            given = ",".join(map(str, request.shots))
            raise InputError(f"Got shots_grid={given}; expected whole numbers from 1 to {MOST_SHOTS}, as 1,5,20.")
        self._noise = config.regression.noise_stddev
        self._num_tasks = _NUM_TASKS if request.num_tasks is None else request.num_tasks
        self._samples = request.samples or _SAMPLES
        if request.baselines:
            if not self._noise:
                raise InputError(
                    "The run is without noise, for which there is no analysis=gaussian_process; leave it out."
                )
            from leo_tf.regression.baselines.gaussian_process import require_scikit_learn

            require_scikit_learn()

    def _name_parts(self):
        if self._num_tasks != _NUM_TASKS:
            yield f"{self._num_tasks}tasks"
        if self.shots != list(SHOTS):
            yield f"{'_'.join(map(str, self.shots))}shot"
        if self._samples != _SAMPLES:
            yield f"{self._samples}samples"
        if self.request.seed:
            yield f"seed{self.request.seed}"

    @property
    def about(self):
        return {**super().about, "seed": self.request.seed}

    @functools.cached_property
    def tasks(self):
        tasks = draw_tasks(self._num_tasks, self.request.seed, self._stream, self._noise)
        sinusoids = int(tasks.is_sinusoid.sum())
        if min(sinusoids, len(tasks) - sinusoids) < 2:
            raise InputError(
                f"Of {len(tasks)} tasks {sinusoids} are sinusoids; expected at least 2 of each family, for "
                "intervals. Give a larger num_tasks."
            )
        return tasks

    @property
    def _stream(self):
        return _STREAMS[self.request.split]

    @property
    def _batching(self):
        return self.config.training.metatest_batch_size, self.config.training.jit != "off"

    def evaluate(self, learner):
        batch_size, jit = self._batching
        return evaluate(learner, self.tasks, self.shots, self._samples, batch_size, jit, self.workers)

    def subject(self, learner):
        return RegressionTarget(learner, self.tasks, self.config.episodes.num_tr_examples_per_class)

    def require_comparable(self, result):
        super().require_comparable(result)
        for shots in self.shots:
            result.require_shots(shots)

    def is_answered_by(self, result, learner, fingerprint):
        count = self._samples if learner.normals_per_task else 1
        same = (result.shots_evaluated, result.num_samples) == (self.shots, count)
        return same and super().is_answered_by(result, learner, fingerprint)

    def baselines(self):
        """Return the exact posterior's Result, and where asked for Gaussian processes'."""
        same = self.tasks, self.shots, self._samples, self._noise
        found = [evaluate_posterior(*same)] if self._noise else []
        if "gaussian_process" in self.request.baselines:
            found += [evaluate_gaussian_process(*same, shared) for shared in (True, False)]
        return found

    def extras(self, learner, title):
        """Return calibrated spread, the ambiguity of samples where both families are possible, the paper's figure."""
        lines, summary, figures = [], {}, {}
        if learner.normals_per_task and self._samples > 1 and self.request.split != "val":
            spread = self._spread(learner)
            lines, summary = [str(spread)], {"calibrated_spread": spread.summary()}
        if self._noise and learner.normals_per_task:
            try:
                tasks, probability = draw_ambiguous(_AMBIGUOUS_TASKS, self.request.seed, self._stream, self._noise)
            except InputError as error:  # very little noise
                _logger.warning("Nothing on ambiguous tasks: %s", error)
            else:
                found = evaluate_ambiguity(learner, tasks, probability, self._samples, self._noise, *self._batching)
                lines, summary = [*lines, str(found)], {**summary, "ambiguity": found.summary()}
        if self._noise and importlib.util.find_spec("matplotlib"):
            figures = self._figures(learner, title)
        return Extras("\n".join(lines), summary, figures)

    def _spread(self, learner):
        own = self.trained.episodes.num_tr_examples_per_class
        shots = own if own in self.shots else self.shots[-1]
        seed = self.trained.training.validation_seed
        validation = draw_tasks(_SPREAD_TASKS, seed, randomness.VALIDATION, self._noise)
        return evaluate_spread(learner, validation, self.tasks, shots, self._samples, *self._batching)

    def _figures(self, learner, title):
        try:
            panels = choose_panels(self._noise, self._stream)
        except InputError as error:  # very little noise
            _logger.warning("No figure of sampled functions: %s", error)
            return {}
        sampler = FunctionSampler(learner, len(panels.tasks), self._batching[1])
        functions = sampler.functions(panels.tasks.support_x, panels.tasks.support_y, _FIGURE_SAMPLES)
        return {"functions": draw_figure(panels, functions, grid(), title)}
