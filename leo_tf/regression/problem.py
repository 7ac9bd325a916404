"""Few-shot regression as a problem to train on."""

import importlib.util
import logging

from leo_tf import randomness
from leo_tf.errors import InputError
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.problem import Problem, Validation
from leo_tf.regression.episodes import RegressionSampler
from leo_tf.regression.evaluation import RegressionEvaluation
from leo_tf.regression.figure import choose_panels, draw_figure
from leo_tf.regression.leo import RegressionLEO
from leo_tf.regression.maml import RegressionMAML, RegressionMetaSGD
from leo_tf.regression.metrics import LEVELS, score
from leo_tf.regression.sampling import FunctionSampler
from leo_tf.regression.tasks import MOST_SHOTS, draw_tasks, grid

_logger = logging.getLogger("leo_tf")
_LEARNERS = {"leo": RegressionLEO, "maml": RegressionMAML, "metasgd": RegressionMetaSGD}
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
    evaluation_type = RegressionEvaluation
    evaluation_flags = frozenset({"samples"})
    baselines = ("gaussian_process",)

    def __init__(self, config):
        super().__init__(config)
        shots = config.episodes.num_tr_examples_per_class
        if config.training.metavalid_ways:
            raise InputError(
                f"metavalid_ways={config.training.metavalid_ways} was given; expected 0 with problem=regression, whose "
                "tasks have no classes."
            )
        if shots > MOST_SHOTS:
            raise InputError(
                f"num_tr_examples_per_class={shots} was given; expected at most {MOST_SHOTS} with "
                "problem=regression, whose validation tasks have no more points."
            )

    @property
    def data_record(self):
        return {"tasks": "sinusoids and lines"}

    def summary(self):
        episodes, noise = self.config.episodes, self.config.regression.noise_stddev
        return (
            f"sinusoids and lines: {episodes.num_tr_examples_per_class} support and "
            f"{episodes.num_val_examples_per_class} query points a task, noise of standard deviation {noise:g}"
        )

    def build_learner(self, data_record, seed=None):
        return _LEARNERS[self.config.algorithm](self.config.model, self.config.regression, seed=seed)

    def make_sampler(self, learner):
        episodes, noise = self.config.episodes, self.config.regression.noise_stddev
        return RegressionSampler(episodes.num_tr_examples_per_class, episodes.num_val_examples_per_class, noise)

    def make_validator(self, learner, workers=SINGLE_PROCESS):
        training, noise = self.config.training, self.config.regression.noise_stddev
        if not training.metavalid_tasks:
            return None
        tasks = draw_tasks(training.metavalid_tasks, training.validation_seed, randomness.VALIDATION, noise)
        support_x, support_y = tasks.support(self.config.episodes.num_tr_examples_per_class)
        batch_size = workers.batch_size(training.metavalid_tasks, training.metavalid_batch_size)
        sampler = FunctionSampler(learner, batch_size, training.jit != "off")
        panels = _panels(noise)

        def scores(some):
            samples = sampler.functions(support_x[some], support_y[some], _SAMPLES, first_task=some[0])
            return score(samples, tasks.truth[some])

        def validate():
            found = workers.spread(scores, len(tasks), batch_size)
            others = {"crps": found.crps.mean(), "coverage_90": found.coverage[LEVELS.index(0.9)].mean()}
            errors = found.squared_error
            return Validation(confidence_interval(errors), others, _figures(panels, sampler), scores=errors)

        return validate

    @staticmethod
    def text(value, half_width=None):
        return f"{value:.4f}" if half_width is None else f"{value:.4f} +- {half_width:.4f}"


def _panels(noise):
    """Return the figure's tasks; None where it cannot be drawn, or too little is ambiguous for want of noise."""
    if importlib.util.find_spec("matplotlib") is None or not noise:
        return None
    try:
        return choose_panels(noise, randomness.VALIDATION)
    except InputError as error:
        _logger.warning("No figure of sampled functions: %s", error)
        return None


def _figures(panels, sampler):
    if panels is None:
        return {}
    samples = sampler.functions(panels.tasks.support_x, panels.tasks.support_y, _DRAWN)
    return {"functions": draw_figure(panels, samples, grid())}
