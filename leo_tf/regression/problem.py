"""Few-shot regression as a problem to train on."""

import functools
import importlib.util
import logging

from leo_tf import randomness
from leo_tf.errors import InputError
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.problem import Problem, Validation
from leo_tf.regression import sampling, scoring
from leo_tf.regression.algorithms import build_regressor
from leo_tf.regression.episodes import RegressionSampler
from leo_tf.regression.figure import choose_panels, draw_figure
from leo_tf.regression.tasks import MOST_SHOTS, draw_tasks, grid

_logger = logging.getLogger("leo_tf")
_SAMPLES, _DRAWN = 20, 30  # functions sampled for each task in a validation, and for the figure


class Regression(Problem):
    """Regression of sinusoids and lines, judged by the squared error of the mean of sampled functions.

    Args:
      config: RunConfig.

    Raises:
      InputError: more support points than a validation task has.
    """

    measure = "mse"
    higher_is_better = False
    other_measures = ("crps", "coverage_90")

    def __init__(self, config):
        shots = config.episodes.num_tr_examples_per_class
        if shots > MOST_SHOTS:
            raise InputError(
                f"--num_tr_examples_per_class={shots} was given; expected at most {MOST_SHOTS} with "
                "--problem=regression, whose validation tasks have no more points."
            )
        self._config = config

    @property
    def data(self):
        return {"tasks": "sinusoids and lines"}

    def summary(self):
        episodes, noise = self._config.episodes, self._config.regression.noise_stddev
        return (
            f"sinusoids and lines: {episodes.num_tr_examples_per_class} support and "
            f"{episodes.num_val_examples_per_class} query points a task, noise of standard deviation {noise:g}"
        )

    def build(self):
        config = self._config
        self._model = build_regressor(config, config.training.seed)
        self._functions = sampling.FunctionSampler(
            self._model, min(config.training.metavalid_batch_size, config.training.metavalid_tasks)
        )
        shots, queries = config.episodes.num_tr_examples_per_class, config.episodes.num_val_examples_per_class
        return self._model, RegressionSampler(shots, queries, config.regression.noise_stddev)

    @functools.cached_property
    def _tasks(self):
        training, noise = self._config.training, self._config.regression.noise_stddev
        return draw_tasks(training.metavalid_tasks, training.seed, randomness.VALIDATION, noise)

    def validate(self):
        support_x, support_y = self._tasks.support(self._config.episodes.num_tr_examples_per_class)
        found = scoring.score(self._functions.functions(support_x, support_y, _SAMPLES), self._tasks.truth)
        others = {"crps": found.crps.mean(), "coverage_90": found.coverage[scoring.LEVELS.index(0.9)].mean()}
        return Validation(confidence_interval(found.squared_error), others, self._figures())

    def _figures(self):
        if self._panels is None:
            return {}
        tasks = self._panels.tasks
        samples = self._functions.functions(tasks.support_x, tasks.support_y, _DRAWN)
        return {"functions": draw_figure(self._panels, samples, grid())}

    @functools.cached_property
    def _panels(self):
        """The figure's tasks; None where it cannot be drawn, or too little is ambiguous for want of noise."""
        noise = self._config.regression.noise_stddev
        if importlib.util.find_spec("matplotlib") is None or not noise:
            return None
        try:
            return choose_panels(noise, randomness.VALIDATION)
        except InputError as error:
            _logger.warning("No figure of sampled functions: %s", error)
            return None

    @staticmethod
    def text(value, half_width=None):
        return f"{value:.4f}" if half_width is None else f"{value:.4f} +- {half_width:.4f}"
