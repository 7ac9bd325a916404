"""Few-shot regression as a problem to train on."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from leo_tf import randomness
from leo_tf.config import RunConfig, learner_class
from leo_tf.errors import InputError
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.problem import Problem, Validation
from leo_tf.regression.episodes import RegressionSampler
from leo_tf.regression.evaluation import RegressionEvaluation
from leo_tf.regression.figure import find_panels, sampled_figures
from leo_tf.regression.metrics import LEVELS, score
from leo_tf.regression.sampling import FunctionSampler
from leo_tf.regression.tasks import MOST_SHOTS, draw_tasks

_SAMPLES = 20  # functions sampled per task in a validation


class Regression(Problem):
    """Regression of sinusoids and lines; the best checkpoint has the least squared error of the mean function."""

    measure = "mse"
    higher_is_better = False
    other_measures = ("crps", "coverage_90")
    evaluation_type = RegressionEvaluation

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        shots = config.episodes.num_tr_examples_per_class
        if config.training.metavalid_ways:
            raise InputError(
                f"metavalid_ways={config.training.metavalid_ways} was given; expected 0 with problem=regression, whose "
                "tasks have no classes.",
                "metavalid_ways",
            )
        if shots > MOST_SHOTS:
            raise InputError(
                f"num_tr_examples_per_class={shots} was given; expected at most {MOST_SHOTS} with "
                "problem=regression, whose validation tasks have no more points.",
                "num_tr_examples_per_class",
            )

    @property
    def data_record(self) -> dict[str, Any]:
        return {"tasks": "sinusoids and lines"}

    def summary(self) -> str:
        episodes, noise = self.config.episodes, self.config.regression.noise_stddev
        return (
            f"sinusoids and lines: {episodes.num_tr_examples_per_class} support and "
            f"{episodes.num_val_examples_per_class} query points per task, noise of standard deviation {noise:g}"
        )

    def build_learner(self, data_record: Mapping[str, Any], seed: int | None = None) -> Any:
        kind = learner_class(self.config.algorithm, "regression")
        return kind(self.config.model, self.config.regression, seed=seed, dtype="float32")

    def make_samplers(self, learner: Any) -> list[RegressionSampler]:
        episodes, noise = self.config.episodes, self.config.regression.noise_stddev
        return [RegressionSampler(episodes.num_tr_examples_per_class, episodes.num_val_examples_per_class, noise)]

    def make_validator(self, learner: Any, workers: Any = SINGLE_PROCESS) -> Callable[[], Validation] | None:
        training, noise = self.config.training, self.config.regression.noise_stddev
        if not training.metavalid_tasks:
            return None
        tasks = draw_tasks(training.metavalid_tasks, training.validation_seed, randomness.VALIDATION, noise)
        support_x, support_y = tasks.support(self.config.episodes.num_tr_examples_per_class)
        batch_size = workers.batch_size(training.metavalid_tasks, training.metavalid_batch_size)
        sampler = FunctionSampler(learner, batch_size, training.jit != "off")
        panels = find_panels(noise, randomness.VALIDATION)

        def scores(some: np.ndarray) -> Any:
            samples = sampler.functions(support_x[some], support_y[some], _SAMPLES, first_task=some[0])
            return score(samples, tasks.truth[some])

        def validate() -> Validation:
            found = workers.map_tasks(scores, len(tasks), batch_size)
            others = {"crps": found.crps.mean(), "coverage_90": found.coverage[LEVELS.index(0.9)].mean()}
            errors = found.squared_error
            return Validation(confidence_interval(errors), others, sampled_figures(panels, sampler), scores=errors)

        return validate

    @staticmethod
    def text(value: float, half_width: float | None = None) -> str:
        return f"{value:.4f}" if half_width is None else f"{value:.4f} +- {half_width:.4f}"
